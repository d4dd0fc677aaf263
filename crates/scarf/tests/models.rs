//! `scarf models`: names, and recipes that a study takes.

use assert_cmd::Command;
use serde_json::Value;

fn scarf(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("scarf").unwrap();
    command.args(["--device", "cpu", "models"]).args(arguments);
    command
}

fn said(arguments: &[&str]) -> String {
    String::from_utf8(scarf(arguments).assert().success().get_output().stdout.clone()).unwrap()
}

#[test]
fn the_table_and_its_json_list_every_model() {
    let (table, json) = (said(&[]), said(&["--json"]));
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(table.lines().count(), rows.len() + 1);
    let ssd300 = rows.iter().find(|row| row["name"] == "ssd300_vgg16").unwrap();
    assert_eq!(ssd300["anchors"], 8732);
    assert_eq!(ssd300["parameters"], 35_641_826);
    assert_eq!(ssd300["parameters_with_six_classes"], 24_414_218);
    assert!(table.contains("35,641,826      24,414,218"), "{table}");
    for row in rows {
        assert!(table.contains(row["name"].as_str().unwrap()));
    }
}

#[test]
fn a_model_is_printed_as_a_recipe() {
    let text = said(&["ssd-512-resnet50-v1-coco"]);
    let study: toml::Value = toml::from_str(&text).unwrap();
    assert_eq!(study["recipe"]["model"]["size"].as_integer(), Some(512));
    assert!(text.starts_with("# ssd-512-resnet50-v1-coco: "), "{text}");
    let error = scarf(&["ssd-512"]).assert().failure().get_output().stderr.clone();
    let error = String::from_utf8(error).unwrap();
    assert!(
        error.contains("there is no model `ssd-512`; the names are ssd-300-vgg16-atrous-voc, "),
        "{error}"
    );
}
