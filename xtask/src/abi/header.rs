//! What `include/sampan.h` declares.

use std::collections::BTreeMap;

/// The header as data. Texts have their comments taken out and one space where there was any.
#[derive(Debug)]
pub struct Header {
    /// Without comments.
    pub text: String,
    /// Name to declaration.
    pub functions: BTreeMap<String, String>,
    /// Name to members, in their order.
    pub structs: BTreeMap<String, Vec<String>>,
    /// Every other `typedef`, whole.
    pub typedefs: Vec<String>,
    /// Every constant that is a number.
    pub constants: BTreeMap<String, i64>,
}

/// Reads the text of a header. It is generated, so its form is known.
pub fn read(text: &str) -> Header {
    let text = without_comments(text);
    let statements = statements(&text);
    let of = |prefix: &'static str| statements.iter().filter_map(move |s| Some(s.strip_prefix(prefix)?.to_owned()));
    Header {
        functions: statements.iter().filter_map(|s| Some((function(s)?, s.clone()))).collect(),
        structs: of("typedef struct ").filter_map(|s| structure(&s)).collect(),
        typedefs: of("typedef ").filter(|s| !s.contains('{')).collect(),
        constants: text.lines().filter_map(constant).collect(),
        text,
    }
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    let bare = parts.fold(first, |bare, part| bare + part.split_once("*/").map_or("", |(_, after)| after));
    let lines = bare.lines().map(|line| line.split("//").next().unwrap_or_default().trim_end());
    lines.filter(|line| !line.is_empty()).map(|line| line.to_owned() + "\n").collect()
}

/// What ends with `;` outside of braces; neither directives nor the braces of `extern "C"` are a part of it.
fn statements(text: &str) -> Vec<String> {
    let mut continued = false;
    let code = text.lines().filter(|line| {
        let directive = line.starts_with('#') || continued;
        continued = directive && line.ends_with('\\');
        !directive && !line.starts_with("extern \"C\"")
    });
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let mut depth = 0;
    let ends = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ';' && depth == 0
    };
    code.split(ends).map(spaced).collect()
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn function(statement: &str) -> Option<String> {
    let (before, _) = statement.split_once('(').filter(|_| !statement.starts_with("typedef"))?;
    before.rsplit([' ', '*']).next().filter(|name| name.starts_with("sampan_")).map(str::to_owned)
}

fn structure(rest: &str) -> Option<(String, Vec<String>)> {
    let (name, body) = rest.split_once(" { ")?;
    let members = body.rsplit_once('}')?.0.split(';').map(spaced).filter(|member| !member.is_empty());
    Some((name.to_owned(), members.collect()))
}

fn constant(line: &str) -> Option<(String, i64)> {
    let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
    Some((name.to_owned(), value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found() {
        let text = "#ifndef SAMPAN_H
/* int32_t sampan_commented(void); */
#define SAMPAN_TWO 2
#define SAMPAN_X_INIT \\
    { sizeof(sampan_x), 0 }
typedef struct sampan_o sampan_o;
typedef int32_t sampan_word;
/**
 * A struct.
 */
typedef struct sampan_x {
    size_t size;
    int32_t (*event)(const struct sampan_event *event,
                     void *userdata);
} sampan_x;
#ifdef __cplusplus
extern \"C\" {
#endif  // __cplusplus
int32_t sampan_a(const struct sampan_x *x,
                 char **out);
const char *sampan_b(void);
#ifdef __cplusplus
}  // extern \"C\"
#endif
";
        let header = read(text);
        assert_eq!(header.functions["sampan_a"], "int32_t sampan_a(const struct sampan_x *x, char **out)");
        assert_eq!(header.functions.keys().collect::<Vec<_>>(), ["sampan_a", "sampan_b"]);
        let event = "int32_t (*event)(const struct sampan_event *event, void *userdata)";
        assert_eq!(header.structs["sampan_x"], ["size_t size", event]);
        assert_eq!(header.typedefs, ["struct sampan_o sampan_o", "int32_t sampan_word"]);
        assert_eq!(header.constants, BTreeMap::from([("SAMPAN_TWO".to_owned(), 2)]));
        assert_eq!(read(&header.text).functions, header.functions);
    }

    #[test]
    fn the_real_header_is_read() {
        let header = read(&crate::repo::read("include/sampan.h").unwrap());
        assert!(header.functions.len() > 50 && header.constants["SAMPAN_ERROR_NOT_FOUND"] == 4);
        assert!(header.structs["sampan_run_options"].len() > 40);
    }
}
