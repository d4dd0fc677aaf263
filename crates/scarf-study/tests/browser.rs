//! The page in a real Chromium: it asks nobody for anything, its tables sort, the slider hides and shows boxes.
//!
//! Chromium is looked for in `SCARF_CHROMIUM` and on `PATH`; without one these tests say so and end.

mod common;

use common::{Log, STUDY, run, study};
use scarf_study::{Given, How, Photographs, judge, page};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SCARF_CHROMIUM") {
        return Some(path.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// What the script below tells of a page; `None` without a Chromium. `port` is where it tries to reach.
fn told(html: &str, port: u16) -> Option<Value> {
    let Some(chromium) = chromium() else {
        eprintln!("no Chromium on PATH nor in SCARF_CHROMIUM: the page was not opened");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = SCRIPT.replace("PORT", &port.to_string());
    let file = folder.path().join("page.html");
    let (before, after) = html.rsplit_once("</body>").expect("a page has a body");
    std::fs::write(&file, format!("{before}<script>{script}</script></body>{after}")).unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,800", "--dump-dom"])
        .args(["--no-proxy-server", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = dom.split_once("<pre id=\"told\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((told, _)) = told else {
        panic!("the page's script did not end: {}", String::from_utf8_lossy(&output.stderr));
    };
    Some(serde_json::from_str(&told.replace("&quot;", "\"").replace("&amp;", "&")).unwrap())
}

const SCRIPT: &str = r##"
(async () => {
  const told = { violations: 0 };
  document.addEventListener("securitypolicyviolation", () => told.violations++);
  told.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  told.asked = performance.getEntriesByType("resource").map((each) => each.name).filter((name) => !name.startsWith("data:"));
  const column = () => [...document.querySelectorAll("#table tbody tr")].map((row) => Number(row.cells[1].dataset.sort));
  const head = document.querySelectorAll("#table thead th")[1];
  head.click();
  told.falling = column();
  head.click();
  told.rising = column();
  const boxes = () => [...document.querySelectorAll(".panel [data-score]")].filter((box) => getComputedStyle(box).display !== "none").length;
  const slider = document.getElementById("score");
  const at = (value) => { slider.value = value; slider.dispatchEvent(new Event("input")); return boxes(); };
  told.shown = [at(5), at(30), at(95)];
  told.all = document.querySelectorAll(".panel [data-score]").length;
  told.fetched = await fetch("http://127.0.0.1:PORT/").then(() => true, () => false);
  const image = new Image();
  told.drawn = await new Promise((resolve) => {
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = "http://127.0.0.1:PORT/a.png";
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const pre = document.createElement("pre");
  pre.id = "told";
  pre.textContent = JSON.stringify(told);
  document.body.append(pre);
})();
"##;

fn holds(html: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let Some(told) = told(html, listener.local_addr().unwrap().port()) else { return };
    assert_eq!(told["asked"], serde_json::json!([]), "requests of the page's own");
    assert!(listener.accept().is_err(), "even a script that tries to reaches nobody");
    assert_eq!((&told["fetched"], &told["drawn"]), (&Value::Bool(false), &Value::Bool(false)));
    assert_eq!(told["violations"], 2, "what was tried is what the policy forbade");
    let numbers = |key: &str| -> Vec<f64> {
        told[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    assert!(numbers("falling").is_sorted_by(|a, b| a >= b) && numbers("rising").is_sorted(), "{told}");
    // One row is sorted either way.
    assert!(numbers("rising").len() == 1 || numbers("falling") != numbers("rising"), "{told}");
    let shown = numbers("shown");
    assert!(
        shown[0] > shown[1] && shown[1] > shown[2] && shown[0] == told["all"].as_f64().unwrap(),
        "{told}"
    );
    assert!(told["wide"].as_f64().unwrap() <= 0.0, "it must not scroll sideways on a laptop: {told}");
}

#[test]
fn a_page_asks_nobody_and_can_be_worked_with() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    let plan = study.plan(&records);
    judge(&study, &plan, out.path()).unwrap();
    holds(&page(&study, &plan, &records, &How::default(), out.path(), Photographs::Shown).unwrap());
}

#[test]
fn so_do_the_pages_that_are_published() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut seen = 0;
    for entry in std::fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("study-") && name.ends_with(".html") {
            holds(&std::fs::read_to_string(path).unwrap());
            seen += 1;
        }
    }
    assert!(seen > 0);
}
