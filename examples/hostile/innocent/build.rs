fn main() {
    let out_dir = std::env::var("OUT_DIR").unwrap();
    let attempts = attempts::all("build script", Some(&out_dir));
    for (name, outcome) in &attempts {
        println!("cargo::warning={name}: {outcome}");
    }
    std::fs::write(format!("{out_dir}/attempts.rs"), format!("&{attempts:?}")).unwrap();
    println!("cargo::rustc-env=LINK_MAP={out_dir}/link.map");
    if std::env::var_os("CARGO_FEATURE_INJECT").is_some() {
        // A library that is not there: the loader only complains, but it was told.
        println!("cargo::rustc-env=LD_PRELOAD={out_dir}/not-there.so");
        println!("cargo::rustc-link-arg=-Wl,-Map={out_dir}/link.map");
    }
}
