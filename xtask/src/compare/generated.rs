//! Fresh lockfiles of generated workspaces over generated registries: the same packages, or no graph on both sides.

use super::Options;
use super::report::{Report, Verdict};
use super::text_diff::diff;
use crate::sides::Sides;
use bulkhead_test_support::{GeneratedRegistry, Home, Outcome, Registry, TempProject, project};

/// How many registries, in all and with `--small`.
const SEEDS: (u64, u64) = (400, 40);
/// Sizes that take turns.
const SIZES: [usize; 4] = [4, 6, 9, 14];

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let count = if options.small { SEEDS.1 } else { SEEDS.0 };
    let first = options.first_seed;
    let mut solved = 0;
    for seed in first..first + count {
        let size = SIZES[usize::try_from(seed % 4).unwrap_or(0)];
        let (verdict, found) = compare_one(&GeneratedRegistry::new(seed, size), sides);
        solved += u64::from(found);
        report.add(&format!("generated {seed} ({size})"), "Cargo.lock of a generated workspace", verdict);
    }
    println!("-- {solved} of {count} have a graph");
    Ok(())
}

/// Compares, and says whether cargo found a graph.
fn compare_one(generated: &GeneratedRegistry, sides: &Sides) -> (Verdict, bool) {
    let registry = Registry::start();
    for version in &generated.published {
        registry.publish_index_line(&version.name, &version.index_line());
    }
    let [(cargo, cargo_lock), (bulkhead, bulkhead_lock)] = sides.both().map(|side| {
        let (home, place) = (Home::new(), workspace(generated));
        home.use_registry(&registry);
        let run = |arguments| home.command(side.program()).args(arguments).current_dir(place.root()).run();
        let lockfile = || std::fs::read_to_string(place.path("Cargo.lock")).unwrap_or_default();
        let outcome = run(&["generate-lockfile"][..]);
        let first = lockfile();
        // What was just locked is kept, or changed in the same way.
        run(&["update", "--workspace"]);
        (outcome, first + &lockfile())
    });
    let found = cargo.code() == Some(0);
    if bulkhead.code() == Some(0) && cargo.stderr.contains("error: failed to select a version") {
        // About one in a thousand; that such graphs are graphs is shown by the resolver's own test against a SAT solver.
        return (Verdict::Skipped("cargo gives up, though there is a graph (docs/differences.md)".to_owned()), found);
    }
    if !bulkhead.ends_as(&cargo) {
        let tell = |name: &str, outcome: &Outcome| format!("{name}: {:?}\n{}\n", outcome.code(), outcome.stderr);
        let registry = format!("{generated:?}\n");
        return (Verdict::Different(tell("cargo", &cargo) + &tell("bulkhead", &bulkhead) + &registry), found);
    }
    (Verdict::from_differences(diff(&cargo_lock, &bulkhead_lock)), found)
}

fn workspace(generated: &GeneratedRegistry) -> TempProject {
    let names: Vec<&str> = generated.members.iter().map(|member| member.name.as_str()).collect();
    let mut text = format!("//- /Cargo.toml\n[workspace]\nresolver = \"2\"\nmembers = {names:?}\n");
    for member in &generated.members {
        let name = &member.name;
        text += &format!(
            "//- /{name}/Cargo.toml\n{}//- /{name}/src/lib.rs\n//- /{name}/build.rs\nfn main() {{}}\n",
            member.manifest()
        );
    }
    project(&text)
}
