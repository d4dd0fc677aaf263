//! `scarf weights` against a server of our own, and on files as PyTorch and MXNet write them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What a server does with requests.
#[derive(Clone)]
struct Manners {
    content: Vec<u8>,
    status: &'static str,
    /// Whether it knows `Range`.
    ranges: bool,
    /// Bytes of a response after which it hangs up.
    cut: usize,
    /// Requests after which it answers with an error of its own.
    requests: usize,
}

impl Manners {
    fn good(content: &[u8]) -> Self {
        Self {
            content: content.to_vec(),
            status: "200 OK",
            ranges: true,
            cut: usize::MAX,
            requests: usize::MAX,
        }
    }
}

/// A server, and the `Range` of every request to it (empty where there was none).
struct Server {
    url: String,
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.pth", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&mut stream.unwrap(), &manners, &seen);
            }
        });
        Self { url, ranges }
    }

    fn seen(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

fn answer(stream: &mut TcpStream, manners: &Manners, seen: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = lines.iter().find_map(|line| line.strip_prefix("Range: ")).unwrap_or_default().to_owned();
    let mut seen = seen.lock().unwrap();
    seen.push(range.clone());
    let total = manners.content.len();
    let start = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    let start = start.map(|start| start.parse::<usize>().unwrap()).filter(|_| manners.ranges);
    let (status, extra, body) = match start {
        _ if seen.len() > manners.requests => ("503 Service Unavailable", String::new(), &b""[..]),
        _ if manners.status != "200 OK" => (manners.status, String::new(), &b""[..]),
        None => ("200 OK", String::new(), &manners.content[..]),
        Some(start) if start >= total => {
            ("416 Range Not Satisfiable", format!("Content-Range: bytes */{total}\r\n"), &b""[..])
        }
        Some(start) => {
            let extra = format!("Content-Range: bytes {start}-{}/{total}\r\n", total - 1);
            ("206 Partial Content", extra, &manners.content[start..])
        }
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(&body[..body.len().min(manners.cut)]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn scarf(arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("scarf").unwrap();
    command.env_remove("SCARF_WEIGHTS").env("no_proxy", "127.0.0.1").env_remove("http_proxy");
    command.arg("weights").args(arguments).assert()
}

fn failure(arguments: &[&str]) -> String {
    String::from_utf8(scarf(arguments).failure().get_output().stderr.clone()).unwrap()
}

/// A folder with a list of one entry, `file`.
struct Place(tempfile::TempDir);

impl Place {
    fn new(url: &str, more: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.list(url, more);
        place
    }

    fn list(&self, url: &str, more: &str) {
        let text =
            format!("[[weights]]\nname = 'file'\nwhat = 'a test'\nlicence = 'none'\nurl = '{url}'\n{more}\n");
        fs::write(self.path("list.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn told(&self) -> [String; 6] {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let (list, dir) = (text(self.path("list.toml")), text(self.path("dir")));
        ["fetch", "file", "--manifest", &list, "--dir", &dir].map(str::to_owned)
    }

    fn fetch(&self) -> assert_cmd::assert::Assert {
        scarf(&self.told().each_ref().map(String::as_str)).success()
    }

    fn failure(&self) -> String {
        failure(&self.told().each_ref().map(String::as_str))
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("dir")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.path("dir/file.pth")).unwrap()
    }
}

fn content() -> Vec<u8> {
    (0..100_000u32).map(|index| (index.wrapping_mul(index) >> 3) as u8).collect()
}

fn sha256(content: &[u8]) -> String {
    format!("sha256 = '{}'", hex(&Sha256::digest(content)))
}

#[test]
fn a_file_is_fetched_once() {
    let server = Server::start(Manners::good(&content()));
    let place = Place::new(&server.url, &format!("bytes = 100000\n{}", sha256(&content())));
    let printed = place.fetch().get_output().stdout.clone();
    assert_eq!(String::from_utf8(printed).unwrap().trim(), place.path("dir/file.pth").to_str().unwrap());
    assert_eq!((place.content(), place.files()), (content(), vec!["file.pth".to_owned()]));
    place.fetch();
    assert_eq!(server.seen(), [""]);
    fs::write(place.path("dir/file.pth"), "changed").unwrap();
    assert!(place.failure().contains("move it away"));
    assert_eq!(server.seen(), [""]);
}

#[test]
fn a_cut_transfer_goes_on_where_it_ended() {
    let server = Server::start(Manners { cut: 40_000, ..Manners::good(&content()) });
    let place = Place::new(&server.url, &sha256(&content()));
    place.fetch();
    assert_eq!(place.content(), content());
    assert_eq!(server.seen(), ["", "bytes=40000-", "bytes=80000-"]);
}

#[test]
fn the_next_call_goes_on_with_what_lies_there() {
    let server = Server::start(Manners { cut: 40_000, requests: 1, ..Manners::good(&content()) });
    let place = Place::new(&server.url, &sha256(&content()));
    let error = place.failure();
    assert!(error.contains("cut off after") && error.contains("goes on from there"), "{error}");
    assert!(error.contains("503 Service Unavailable"), "{error}");
    assert_eq!(place.files(), ["file.pth.part"]);
    let server = Server::start(Manners::good(&content()));
    place.list(&server.url, &sha256(&content()));
    place.fetch();
    assert_eq!((place.content(), server.seen()), (content(), vec!["bytes=40000-".to_owned()]));
    assert_eq!(place.files(), ["file.pth"]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let server = Server::start(Manners { ranges: false, ..Manners::good(&content()) });
    let place = Place::new(&server.url, &sha256(&content()));
    fs::create_dir(place.path("dir")).unwrap();
    fs::write(place.path("dir/file.pth.part"), &content()[..777]).unwrap();
    place.fetch();
    assert_eq!((place.content(), server.seen()), (content(), vec!["bytes=777-".to_owned()]));
}

#[test]
fn what_lies_there_whole_or_too_long_is_no_trap() {
    for (bytes, ranges) in [(100_000, "bytes=100000-"), (100_001, "bytes=100001-")] {
        let server = Server::start(Manners::good(&content()));
        let place = Place::new(&server.url, &sha256(&content()));
        fs::create_dir(place.path("dir")).unwrap();
        let mut part = content();
        part.resize(bytes, 0);
        fs::write(place.path("dir/file.pth.part"), &part).unwrap();
        place.fetch();
        assert_eq!(place.content(), content());
        assert_eq!(server.seen()[0], ranges);
    }
}

#[test]
fn other_bytes_are_removed() {
    let server = Server::start(Manners::good(&content()));
    for digest in
        [sha256(b"other"), "sha256_prefix = 'ffffffff'".into(), format!("sha1 = '{}'", "0".repeat(40))]
    {
        let place = Place::new(&server.url, &digest);
        let error = place.failure();
        assert!(error.contains("what came has sha") && error.contains("it was removed"), "{error}");
        assert!(place.files().is_empty());
    }
    let prefix = &hex(&Sha256::digest(content()))[..8];
    Place::new(&server.url, &format!("sha256_prefix = '{prefix}'")).fetch();
}

#[test]
fn another_size_is_told_before_the_download() {
    let server = Server::start(Manners::good(&content()));
    let place = Place::new(&server.url, &format!("bytes = 99999\n{}", sha256(&content())));
    let error = place.failure();
    assert!(error.contains("the file there has 100000 bytes, the published one 99999"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_file_that_has_moved_is_said_with_what_to_do() {
    let server = Server::start(Manners { status: "404 Not Found", ..Manners::good(&content()) });
    let place = Place::new(&server.url, &sha256(&content()));
    let error = place.failure();
    assert!(
        error.contains("404 Not Found") && error.contains("--url") && error.contains(&server.url),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1);
    let mirror = Server::start(Manners::good(&content()));
    let told = place.told();
    let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
    told.extend(["--url", &mirror.url]);
    scarf(&told).success();
    assert_eq!(place.content(), content());
}

#[test]
fn nobody_there_is_an_error_that_names_the_place() {
    let place = Place::new("http://127.0.0.1:9/file.pth", &sha256(&content()));
    let error = place.failure();
    assert!(error.contains("http://127.0.0.1:9/file.pth") && error.contains("https_proxy"), "{error}");
    assert!(place.files().is_empty());
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scarf-weights/tests/data").join(name)
}

#[test]
fn an_archive_is_fetched_unpacked_and_converted() {
    let params = fs::read(data("symbol.params")).unwrap();
    let server = Server::start(Manners::good(&fs::read(data("gluon.zip")).unwrap()));
    let sha1 = hex(&Sha1::digest(&params));
    let place = Place::new(&server.url, &format!("unpack = 'symbol.params'\nsha1 = '{sha1}'"));
    place.fetch();
    assert_eq!(place.files(), ["symbol.params"]);
    assert_eq!(fs::read(place.path("dir/symbol.params")).unwrap(), params);
    place.fetch();
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_archive_of_tensorflow_is_checked_whole_and_gives_what_studies_ask_for() {
    let graph = fs::read(data("graph.pb")).unwrap();
    let archive = tar_gz(&[("./readme.txt", b"not this"), ("./graph.pb", &graph)]);
    let server = Server::start(Manners::good(&archive));
    let digest = |bytes: &[u8]| format!("unpack = 'graph.pb'\nof_archive = true\n{}", sha256(bytes));
    let place = Place::new(&server.url, &digest(&archive));
    let told = place.told();
    let told: Vec<&str> = told.iter().map(String::as_str).chain(["--as", "mine"]).collect();
    for _ in 0..2 {
        scarf(&told).success();
        assert_eq!(place.files(), ["graph.pb", "mine.safetensors"]);
    }
    assert_eq!(server.seen().len(), 1);
    assert_eq!(fs::read(place.path("dir/graph.pb")).unwrap(), graph);
    assert_eq!(shown(&place.path("dir/mine.safetensors"))["numbers"], shown(&data("graph.pb"))["numbers"]);

    fs::copy(data("state.safetensors"), place.path("dir/mine.safetensors")).unwrap();
    assert!(failure(&told).contains("mine.safetensors is there with other weights"));
    let place = Place::new(&server.url, &digest(&graph));
    assert!(place.failure().contains("the published file sha256"));
    assert!(place.files().is_empty());
    let told = place.told();
    let told: Vec<&str> = told.iter().map(String::as_str).chain(["--as", "../mine"]).collect();
    let error = failure(&told);
    assert!(error.contains("--as ../mine: a name without a folder is wanted"), "{error}");
}

/// A tar of these files, compressed.
fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn shown(path: &Path) -> Value {
    let output = scarf(&["show", "--json", path.to_str().unwrap()]).success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

#[test]
fn any_format_is_shown_and_becomes_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    for (name, format) in [
        ("checkpoint.pth", "PyTorch"),
        ("state.legacy.pth", "PyTorch (before 1.6)"),
        ("symbol.params", "MXNet"),
        ("state.safetensors", "safetensors"),
        ("graph.pb", "TensorFlow"),
    ] {
        let (input, output) = (data(name), out.to_str().unwrap());
        let before = shown(&input);
        assert_eq!(before["format"], json!(format));
        scarf(&["convert", input.to_str().unwrap(), output, "--f16"]).success();
        let after = shown(&out);
        assert_eq!((&after["numbers"], &after["metadata"]), (&before["numbers"], &before["metadata"]));
        let dtype =
            |tensor: &Value| (tensor["shape"].as_array().unwrap().len() >= 2, tensor["dtype"].clone());
        for tensor in after["tensors"].as_array().unwrap() {
            let (is_kernel, dtype) = dtype(tensor);
            assert_eq!(dtype, json!(if is_kernel { "F16" } else { "F32" }));
        }
    }
    let input = data("symbol.params");
    scarf(&[
        "convert",
        input.to_str().unwrap(),
        out.to_str().unwrap(),
        "--only",
        "conv",
        "--rename",
        "^net_=a.",
    ])
    .success();
    let names: Vec<Value> =
        shown(&out)["tensors"].as_array().unwrap().iter().map(|tensor| tensor["name"].clone()).collect();
    assert_eq!(names, ["a.conv0_bias", "a.conv0_weight"]);
    let text =
        scarf(&["show", data("checkpoint.pth").to_str().unwrap()]).success().get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("conv.weight             [2, 3, 2, 2]  F32\n") && text.contains("epoch: 7\n"),
        "{text}"
    );
}

#[test]
fn the_list_has_what_one_needs_to_choose() {
    let text = scarf(&["list"]).success().get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|line| line.starts_with("ssd300_vgg16_coco ")).unwrap();
    for part in [
        "142.6 MB",
        "BSD-3-Clause",
        "AP 25.1",
        "https://download.pytorch.org/models/ssd300_vgg16_coco-b556d3b4.pth",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let json = scarf(&["list", "--json"]).success().get_output().stdout.clone();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert!(json[0]["sha256"].as_str().unwrap().len() == 64);
    assert!(failure(&["fetch", "resnet"]).contains("there are resnet18_imagenet1k_v1"));
}
