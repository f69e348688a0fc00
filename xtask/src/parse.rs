//! Reads the facade: `core/src/api/*.rs`, the error table and the events.

use anyhow::{Context, Result, bail};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, ExprLit, Fields, FnArg, Ident, Item, Lit, LitInt, LitStr, Meta, Pat, ReturnType, Token};

use crate::api::*;
use crate::repo;

/// The files of the facade, in the order in which its parts are written out.
const ROOMS: [&str; 9] = ["options", "info", "engine", "container", "exec", "attach", "logs", "stats", "events"];

/// The facade as it stands in the sources.
pub fn api() -> Result<Api> {
    let mut api = Api { enums: vec![], records: vec![], errors: errors()?, events: events()?, classes: vec![] };
    for file in ROOMS {
        let file = format!("core/src/api/{file}.rs");
        read_room(&mut api, &file).with_context(|| file.clone())?;
    }
    api.check()?;
    Ok(api)
}

fn parse_file(relative: &str) -> Result<syn::File> {
    syn::parse_file(&repo::read(relative)?).with_context(|| format!("parse {relative}"))
}

fn read_room(api: &mut Api, relative: &str) -> Result<()> {
    let file = parse_file(relative)?;
    for item in &file.items {
        match item {
            Item::Macro(m) if m.mac.path.is_ident("options") => records(api, m, Role::Options)?,
            Item::Macro(m) if m.mac.path.is_ident("infos") => records(api, m, Role::Info)?,
            Item::Macro(m) if m.mac.path.is_ident("words") => words(api, m)?,
            Item::Struct(s) if is_public(&s.vis) => {
                api.classes.push(Class { name: s.ident.to_string(), doc: doc(&s.attrs), methods: vec![] });
            }
            Item::Impl(i) if i.trait_.is_none() => methods(api, i)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_public(vis: &syn::Visibility) -> bool {
    matches!(vis, syn::Visibility::Public(_))
}

fn records(api: &mut Api, mac: &syn::ItemMacro, role: Role) -> Result<()> {
    let body: syn::File = syn::parse2(mac.mac.tokens.clone())?;
    for item in body.items {
        let Item::Struct(s) = item else { bail!("a record macro holds structs only") };
        let fields = fields(&s.fields).with_context(|| s.ident.to_string())?;
        api.records.push(Record { name: s.ident.to_string(), role, doc: doc(&s.attrs), fields });
    }
    Ok(())
}

fn fields(fields: &Fields) -> Result<Vec<Field>> {
    fields
        .iter()
        .map(|f| {
            let name = f.ident.as_ref().context("a member without a name")?.to_string();
            let ty = field_type(&f.ty).with_context(|| name.clone())?;
            Ok(Field { name, ty, doc: doc(&f.attrs) })
        })
        .collect()
}

fn words(api: &mut Api, mac: &syn::ItemMacro) -> Result<()> {
    let body: syn::File = syn::parse2(mac.mac.tokens.clone())?;
    for item in body.items {
        let Item::Enum(e) = item else { bail!("words! holds enums only") };
        let default = e.variants.iter().position(|v| v.attrs.iter().any(|a| a.path().is_ident("default")));
        if default != Some(0) {
            bail!("{}: the default comes first, it is 0 in C", e.ident);
        }
        let variants = e.variants.iter().map(word).collect::<Result<_>>()?;
        api.enums.push(Enum { name: e.ident.to_string(), doc: doc(&e.attrs), variants });
    }
    Ok(())
}

fn word(v: &syn::Variant) -> Result<Variant> {
    let Some((_, Expr::Lit(ExprLit { lit: Lit::Str(word), .. }))) = &v.discriminant else {
        bail!("{} has no word", v.ident)
    };
    Ok(Variant { name: v.ident.to_string(), word: word.value(), doc: doc(&v.attrs) })
}

fn methods(api: &mut Api, block: &syn::ItemImpl) -> Result<()> {
    let owner = block.self_ty.to_token_stream().to_string();
    let Some(class) = api.classes.iter_mut().find(|c| c.name == owner) else { return Ok(()) };
    for item in &block.items {
        let syn::ImplItem::Fn(f) = item else { continue };
        if is_public(&f.vis) {
            class.methods.push(method(f)?);
        }
    }
    Ok(())
}

fn method(f: &syn::ImplItemFn) -> Result<Method> {
    let mut params = vec![];
    let mut is_static = true;
    for input in &f.sig.inputs {
        match input {
            FnArg::Receiver(_) => is_static = false,
            FnArg::Typed(p) => {
                let Pat::Ident(name) = &*p.pat else { bail!("{}: a parameter without a name", f.sig.ident) };
                params.push(Param { name: name.ident.to_string(), ty: text(&p.ty) });
            }
        }
    }
    let returns = match &f.sig.output {
        ReturnType::Default => "()".to_owned(),
        ReturnType::Type(_, ty) => text(ty),
    };
    Ok(Method { name: f.sig.ident.to_string(), doc: doc(&f.attrs), is_static, params, returns })
}

/// Rust text as a person would write it.
fn text(tokens: &impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let tight = spaced.replace(" < ", "<").replace(" >", ">").replace("& ", "&").replace(" ,", ",").replace("' ", "'");
    tight.replace("< ", "<").replace(" <", "<")
}

fn field_type(ty: &syn::Type) -> Result<Type> {
    Ok(match text(ty).as_str() {
        "bool" => Type::Bool,
        "i32" => Type::I32,
        "i64" => Type::I64,
        "u32" => Type::U32,
        "u64" => Type::U64,
        "f64" => Type::F64,
        "String" => Type::String,
        "Vec<u8>" => Type::Bytes,
        "BTreeMap<String, String>" => Type::Map,
        _ => wrapped(ty)?,
    })
}

fn wrapped(ty: &syn::Type) -> Result<Type> {
    let syn::Type::Path(path) = ty else { bail!("the facade's records don't hold {}", text(ty)) };
    let last = path.path.segments.last().context("an empty path")?;
    let argument = match &last.arguments {
        syn::PathArguments::AngleBracketed(a) => a.args.first(),
        _ => None,
    };
    match (last.ident.to_string().as_str(), argument) {
        ("Option", Some(syn::GenericArgument::Type(of))) => Ok(Type::Option(Box::new(field_type(of)?))),
        ("Vec", Some(syn::GenericArgument::Type(of))) => Ok(Type::List(Box::new(field_type(of)?))),
        (name, None) => Ok(Type::Named(name.to_owned())),
        _ => bail!("the facade's records don't hold {}", text(ty)),
    }
}

/// The doc comment, its lines joined; a paragraph's end stays a line's end.
fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|a| match &a.meta {
        Meta::NameValue(m) if m.path.is_ident("doc") => match &m.value {
            Expr::Lit(ExprLit { lit: Lit::Str(s), .. }) => Some(s.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    let paragraphs: Vec<String> =
        lines.collect::<Vec<_>>().split(String::is_empty).map(|p| p.join(" ")).filter(|p| !p.is_empty()).collect();
    paragraphs.join("\n\n")
}

/// The rows of `error_kinds!`.
struct Table(Vec<ErrorKind>);

impl Parse for Table {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut rows = vec![];
        while !input.is_empty() {
            let attrs = input.call(Attribute::parse_outer)?;
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let code: LitInt = input.parse()?;
            let word: LitStr = input.parse()?;
            input.parse::<Token![,]>()?;
            let (name, code, word) = (name.to_string(), code.base10_parse()?, word.value());
            rows.push(ErrorKind { name, code, word, doc: doc(&attrs) });
        }
        Ok(Table(rows))
    }
}

fn errors() -> Result<Vec<ErrorKind>> {
    let file = parse_file("core/src/error.rs")?;
    let table = file.items.iter().find_map(|item| match item {
        Item::Macro(m) if m.mac.path.is_ident("error_kinds") => Some(m.mac.tokens.clone()),
        _ => None,
    });
    Ok(syn::parse2::<Table>(table.context("error.rs holds no error_kinds!")?)?.0)
}

fn events() -> Result<Vec<Event>> {
    let file = parse_file("core/src/progress.rs")?;
    let event = file.items.iter().find_map(|item| match item {
        Item::Enum(e) if e.ident == "Event" => Some(e),
        _ => None,
    });
    let event = event.context("progress.rs holds no Event")?;
    let each = event.variants.iter().map(|v| {
        let name = v.ident.to_string();
        Ok(Event { word: crate::generate::names::snake(&name), name, doc: doc(&v.attrs), fields: fields(&v.fields)? })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_facade_is_read() {
        let entries = std::fs::read_dir(repo::path("core/src/api")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> =
            names.filter_map(|n| n.strip_suffix(".rs").map(str::to_owned)).filter(|n| n != "mod").collect();
        let mut rooms = ROOMS.map(str::to_owned);
        files.sort();
        rooms.sort();
        assert_eq!(files, rooms);
    }
}
