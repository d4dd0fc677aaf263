//! Holds the workspace to ARCHITECTURE.md: which crate may know which, and who may know burn.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate, and the crates of the workspace that it may know. No other arrow is allowed.
const ARROWS: [(&str, &[&str]); 14] = [
    ("scarf-core", &[]),
    ("scarf-data", &["scarf-core"]),
    ("scarf-metrics", &["scarf-core"]),
    ("scarf-hpo", &[]),
    ("scarf-study", &["scarf-hpo", "scarf-metrics"]),
    ("scarf-weights", &[]),
    ("scarf-kernels", &[]),
    ("scarf-backbones", &["scarf-kernels", "scarf-weights"]),
    ("scarf-heads", &["scarf-backbones", "scarf-core", "scarf-kernels"]),
    ("scarf-onnx", &["scarf-backbones", "scarf-core", "scarf-heads"]),
    (
        "scarf-train",
        &["scarf-backbones", "scarf-core", "scarf-data", "scarf-heads", "scarf-kernels", "scarf-metrics"],
    ),
    (
        "scarf",
        &[
            "scarf-backbones",
            "scarf-core",
            "scarf-data",
            "scarf-heads",
            "scarf-hpo",
            "scarf-kernels",
            "scarf-metrics",
            "scarf-onnx",
            "scarf-study",
            "scarf-train",
            "scarf-weights",
        ],
    ),
    ("xtask", &["scarf-study"]),
    ("scarf-benches", &["scarf-core", "scarf-metrics"]),
];

/// Crates in whose tree burn must not appear.
const PLAIN: [&str; 7] =
    ["scarf-core", "scarf-data", "scarf-metrics", "scarf-hpo", "scarf-study", "scarf-weights", "xtask"];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo starts");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--locked"]))
        .expect("metadata is JSON")
}

/// Of each package id: its name, and the ids it depends on in a build (not for its tests).
fn graph(metadata: &Value) -> BTreeMap<String, (String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let is_built = |dependency: &Value| {
        list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].as_str() != Some("dev"))
    };
    list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let wanted = list(&node["deps"]).into_iter().filter(is_built).map(|d| text(&d["pkg"])).collect();
            let id = text(&node["id"]);
            (id.clone(), (names[&id].clone(), wanted))
        })
        .collect()
}

fn members(metadata: &Value) -> BTreeSet<String> {
    let ids = metadata["workspace_members"].as_array().cloned().unwrap_or_default();
    ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

#[test]
fn arrows_are_those_of_the_plan() {
    let metadata = metadata();
    let (graph, members) = (graph(&metadata), members(&metadata));
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    for id in &members {
        let (name, wanted) = &graph[id];
        let Some(allowed) = allowed.get(name.as_str()) else {
            panic!("{name} is not in ARCHITECTURE.md: say there and here what it may know");
        };
        for other in wanted.iter().filter(|other| members.contains(*other)) {
            let other = &graph[other].0;
            assert!(allowed.contains(&other.as_str()), "{name} must not know {other}");
        }
    }
}

#[test]
fn plain_crates_do_not_know_burn() {
    let metadata = metadata();
    let graph = graph(&metadata);
    for id in members(&metadata).iter().filter(|id| PLAIN.contains(&graph[*id].0.as_str())) {
        let (mut seen, mut open) = (BTreeSet::new(), vec![id.clone()]);
        while let Some(at) = open.pop() {
            let (name, wanted) = &graph[&at];
            assert!(!name.starts_with("burn"), "{} reaches {name}", graph[id].0);
            open.extend(wanted.iter().filter(|next| seen.insert((*next).clone())).cloned());
        }
    }
}

/// burn takes ten minutes to build: whatever is built or tested, its features and those of its
/// dependencies must be the same, or it is built again. Cargo unifies features over what is
/// selected, so scarf-kernels, under every crate that uses burn, names what others would add.
#[test]
fn burn_is_built_once() {
    let features = |selection: &[&str]| -> BTreeMap<String, String> {
        let mut arguments = vec!["tree", "--locked", "--prefix", "none", "--format", "{p}|{f}", "--edges"];
        arguments.extend(selection);
        cargo(&arguments)
            .lines()
            .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
            .map(|(package, features)| (package.to_owned(), features.to_owned()))
            .collect()
    };
    let users = ["scarf-kernels", "scarf-backbones", "scarf-heads", "scarf-onnx", "scarf-train", "scarf"];
    for backend in [&[][..], &["--features", "burn/wgpu"]] {
        let features = |selection: &[&str]| features(&[selection, backend].concat());
        let below: BTreeSet<String> =
            features(&["normal,build", "--package", "scarf-kernels"]).into_keys().collect();
        let all = features(&["normal,build,dev", "--workspace"]);
        for user in users {
            for edges in ["normal,build", "normal,build,dev"] {
                let own = features(&[edges, "--package", user]);
                for (package, features) in own.iter().filter(|(package, _)| below.contains(*package)) {
                    assert_eq!(
                        Some(features),
                        all.get(package),
                        "{package} has other features for {user} ({edges}, {backend:?}) than for the whole \
                         workspace: name the difference in crates/scarf-kernels/Cargo.toml"
                    );
                }
            }
        }
    }
}
