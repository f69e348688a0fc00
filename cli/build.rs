//! The order of the command's functions in its file, where it is static and a start counts: `packaging/order.sh`.

fn main() {
    const ORDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/order.ld");
    println!("cargo::rerun-if-changed={ORDER}");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{ORDER}");
    }
}
