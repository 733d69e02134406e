//! The command line as a person or a script uses it: results, exit codes, messages, and what is left on disk.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A small picture that every test can afford: a red disc with a blue band on nothing.
fn disc(path: &Path) {
    let picture = image::RgbaImage::from_fn(96, 96, |x, y| {
        let (dx, dy) = (x as f32 - 47.5, y as f32 - 47.5);
        let inside = dx.hypot(dy) < 40.0;
        let band = (40..56).contains(&y);
        image::Rgba(if !inside {
            [0; 4]
        } else if band {
            [30, 60, 200, 255]
        } else {
            [200, 40, 30, 255]
        })
    });
    picture.save(path).unwrap();
}

/// Settings that make a job as small as it can be.
const SMALL: [&str; 16] = [
    "--no-cache",
    "--set",
    "detail.enabled=false",
    "--set",
    "coarse.resolution=24",
    "--set",
    "coarse.iterations=4",
    "--set",
    "refine.iterations=2",
    "--set",
    "texture.cell=0.02",
    "--set",
    "texture.iterations=10",
    "--texture-size=128",
    "--triangles=1500",
    "--set",
];

fn maquette(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maquette")).args(arguments).output().unwrap()
}

fn small(arguments: &[&str]) -> Output {
    let mut all: Vec<&str> = arguments.to_vec();
    all.extend(SMALL);
    all.push("views.size_px=96");
    maquette(&all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The command failed with code 1 and a message that holds all of `words`; nothing but `kept` lies in the folder.
fn refused(output: &Output, words: &[&str], folder: &Path, kept: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for word in words {
        assert!(message.contains(word), "\"{word}\" is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(files(folder), kept, "{message}");
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

struct Folder {
    held: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { held: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.held.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }
}

#[test]
fn a_picture_becomes_a_textured_mesh_in_every_format() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let picture = folder.text("disc.png");
    for format in ["glb", "gltf", "obj", "ply"] {
        let target = folder.text(&format!("disc.{format}"));
        let output = small(&["generate", &picture, "-o", &target]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("triangles"), "{}", text(&output.stdout));
        assert!(fs::metadata(&target).unwrap().len() > 1000);
    }
    let inspected = maquette(&["inspect", "--json", &folder.text("disc.glb")]);
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(report["health"]["watertight"], true, "{report:#}");
    assert_eq!(report["base_color"], serde_json::json!([128, 128]));
    assert_eq!(report["provenance"]["recipe"]["coarse"]["resolution"], 24);
    let sheet = maquette(&["turntable", &folder.text("disc.glb"), "-o", &folder.text("sheet.png"), "--size", "48"]);
    assert!(sheet.status.success(), "{}", text(&sheet.stderr));
    assert_eq!(image::image_dimensions(folder.path("sheet.png")).unwrap(), (8 * 48, 2 * 48));
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let (picture, views) = (folder.text("disc.png"), folder.text("views"));
    let bytes = |name: &str, threads: &str, arguments: &[&str], settings: &[&str]| {
        let target = folder.text(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
        command.args(arguments).args(["-q", "-o", &target]).args(SMALL).arg("views.size_px=96").args(settings);
        command.env("RAYON_NUM_THREADS", threads);
        assert!(command.status().unwrap().success());
        fs::read(target).unwrap()
    };
    let generate = ["generate", &picture, "--views-out", &views];
    // The detail stage is for views that were given.
    let reconstruct = ["reconstruct", &views];
    let detail = ["--set", "detail.enabled=true", "--set", "detail.iterations=6"];
    // Timings are part of the report, not of the file.
    for (arguments, settings) in [(&generate[..], &[][..]), (&reconstruct[..], &detail[..])] {
        let (one, three) = (bytes("a.glb", "1", arguments, settings), bytes("b.glb", "3", arguments, settings));
        assert!(one == three, "results of {} differ between thread counts", arguments[0]);
    }
}

#[test]
fn views_written_out_can_be_given_back() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let views = folder.text("views");
    let made = small(&["generate", &folder.text("disc.png"), "-o", &folder.text("a.glb"), "--views-out", &views]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = small(&["reconstruct", &views, "-o", &folder.text("b.glb")]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let texture = small(&["texture", &folder.text("a.glb"), &views, "-o", &folder.text("c.glb")]);
    assert!(texture.status.success(), "{}", text(&texture.stderr));
    // A retexture keeps vertices, their order and texture coordinates bit for bit.
    let geometry = |name: &str| {
        let (document, buffers, _) = gltf::import(folder.path(name)).unwrap();
        let primitive = document.meshes().next().unwrap().primitives().next().unwrap();
        let reader = primitive.reader(|buffer| Some(&buffers[buffer.index()].0));
        let positions: Vec<_> = reader.read_positions().unwrap().map(|p| p.map(f32::to_bits)).collect();
        let uvs: Vec<_> = reader.read_tex_coords(0).unwrap().into_f32().map(|uv| uv.map(f32::to_bits)).collect();
        let indices: Vec<u32> = reader.read_indices().unwrap().into_u32().collect();
        (positions, uvs, indices)
    };
    assert!(geometry("a.glb") == geometry("c.glb"));
    // One picture of the front serves as well; one or the other has to be given.
    let picture =
        ["texture", &folder.text("a.glb"), "--picture", &folder.text("disc.png"), "-o", &folder.text("d.glb")];
    let texture = small(&picture);
    assert!(texture.status.success(), "{}", text(&texture.stderr));
    assert!(geometry("a.glb") == geometry("d.glb"));
    assert_eq!(maquette(&["texture", &folder.text("a.glb")]).status.code(), Some(2));
}

/// The vertices of a GLB file.
fn positions(path: &str) -> Vec<[f32; 3]> {
    let (document, buffers, _) = gltf::import(path).unwrap();
    let primitive = document.meshes().next().unwrap().primitives().next().unwrap();
    primitive.reader(|buffer| Some(&buffers[buffer.index()].0)).read_positions().unwrap().collect()
}

#[test]
fn a_mesh_is_refined_towards_a_picture() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    // The same with four short arms.
    let mut picture = image::open(folder.path("disc.png")).unwrap().to_rgba8();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (dx, dy) = ((x as f32 - 47.5).abs(), (y as f32 - 47.5).abs());
        if dx.min(dy) < 9.0 && dx.max(dy) < 47.0 {
            *pixel = image::Rgba([200, 40, 30, 255]);
        }
    }
    picture.save(folder.path("arms.png")).unwrap();
    let (mesh, views) = (folder.text("a.glb"), folder.text("views"));
    // A ball, which is round from everywhere.
    let disc = folder.text("disc.png");
    let made = small(&["generate", &disc, "--view-source", "inflate", "-o", &mesh, "--views-out", &views]);
    assert!(made.status.success(), "{}", text(&made.stderr));

    // A small one somewhere else, as an artist's may be, without colours.
    let obj = folder.text("a.obj");
    let mut file = String::new();
    for [x, y, z] in positions(&mesh) {
        writeln!(file, "v {} {} {}", 0.1 * x + 4.0, 0.1 * y - 3.0, 0.1 * z + 2.0).unwrap();
    }
    let (document, buffers, _) = gltf::import(&mesh).unwrap();
    let primitive = document.meshes().next().unwrap().primitives().next().unwrap();
    let reader = primitive.reader(|buffer| Some(&buffers[buffer.index()].0));
    for triangle in reader.read_indices().unwrap().into_u32().collect::<Vec<_>>().chunks(3) {
        writeln!(file, "f {} {} {}", triangle[0] + 1, triangle[1] + 1, triangle[2] + 1).unwrap();
    }
    fs::write(&obj, file).unwrap();

    let fast = ["--set", "detail.iterations=40", "--set", "detail.view_size_px=96", "--set", "detail.edge_length=0.03"];
    let refined = |arguments: &[&str]| {
        let (target, report) = (folder.text("b.glb"), folder.text("b.json"));
        let mut all = vec!["refine"];
        all.extend(arguments);
        all.extend(["-o", &target, "--report", &report]);
        all.extend(fast);
        let output = small(&all);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let inspected = maquette(&["inspect", "--json", &target]);
        let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(inspected["health"]["watertight"], true, "{inspected:#}");
        assert_eq!(inspected["base_color"], serde_json::json!([128, 128]));
        let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
        (positions(&target), report)
    };
    // How far the outline reaches along the diagonals over how far it reaches along the axes: 1 for a disc.
    let roundness = |points: &[[f32; 3]], scale: f32, place: [f32; 3]| {
        let farthest = |reach: &dyn Fn(f32, f32) -> f32| {
            points
                .iter()
                .map(|p| reach((p[0] - place[0]).abs() / scale, (p[1] - place[1]).abs() / scale))
                .fold(0.0, f32::max)
        };
        let along_axis = farthest(&|x, y| x.max(y));
        assert!((0.35..0.65).contains(&along_axis), "the mesh has another size or place: {along_axis}");
        farthest(&|x, y| (x + y) / 2.0f32.sqrt()) / along_axis
    };
    assert!(roundness(&positions(&mesh), 1.0, [0.0; 3]) > 0.97);
    for (mesh, scale, place) in [(&mesh, 1.0, [0.0; 3]), (&obj, 0.1, [4.0, -3.0, 2.0])] {
        let (points, report) = refined(&[mesh, "--picture", &folder.text("arms.png")]);
        let input = |field: &str| report["input_view"][field].as_f64().unwrap();
        assert!(input("elevation_degrees").abs() < 8.0 && input("silhouette_iou") > 0.9, "{report:#}");
        let round = roundness(&points, scale, place);
        assert!(round < 0.95, "{mesh} has no arms: {round}");
    }
    // Given views count, with and without a picture.
    refined(&[&mesh, "--views", &views]);
    // Where the elevation is said, it is not searched.
    for (setting, elevation) in [("views.elevation=given", 0.0), ("views.elevation_degrees=12", 12.0)] {
        let both = [&mesh, "--views", &views, "--picture", &folder.text("disc.png"), "--set", setting];
        let told = refined(&both).1["input_view"]["elevation_degrees"].as_f64().unwrap();
        assert!((told - elevation).abs() < 1e-3, "{told} {elevation}");
    }

    assert_eq!(maquette(&["refine", &mesh]).status.code(), Some(2));
    let missing = maquette(&["refine", &folder.text("none.glb"), "--picture", &folder.text("disc.png"), "-o", &obj]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("none.glb"), "{}", text(&missing.stderr));
}

#[test]
fn agreement_of_views_is_measured() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let (mesh, views, picture) = (folder.text("a.glb"), folder.text("views"), folder.text("disc.png"));
    let made = small(&["generate", &picture, "-o", &mesh, "--views-out", &views]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let measure = |more: &[&str]| {
        let mut all = vec!["eval", "views", &mesh, &views];
        all.extend(more);
        let output = maquette(&all);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let json = |more: &[&str]| serde_json::from_str::<serde_json::Value>(&measure(more)).unwrap();
    let clean = json(&["--json"]);
    assert!(clean["input_view"].is_null(), "{clean:#}");

    // One view moved down disagrees with the others until it is shifted.
    for kind in ["albedo", "mask", "normal_cam"] {
        let path = folder.path("views").join(format!("0_{kind}.png"));
        let view = image::open(&path).unwrap().to_rgba8();
        let (width, height) = view.dimensions();
        let moved = image::RgbaImage::from_fn(width, height, |x, y| *view.get_pixel(x, (y + height - 3) % height));
        moved.save(&path).unwrap();
    }
    let of = |value: &serde_json::Value, when: &str| value["views"][when]["reprojection_mse"].as_f64().unwrap();
    let torn = json(&["--json", "--picture", &picture]);
    assert!(of(&torn, "before") > 1.2 * of(&clean, "before"), "{clean:#} {torn:#}");
    assert!(of(&torn, "after") < 0.9 * of(&torn, "before"), "{torn:#}");
    let input = &torn["input_view"];
    assert!(input["elevation_degrees"].is_number() && input["after"]["pixels"].as_u64().unwrap() > 500, "{torn:#}");
    let off = json(&["--json", "--set", "detail.shifting=off"]);
    assert_eq!(off["views"]["before"], off["views"]["after"]);
    let printed = measure(&["--picture", &picture]);
    assert!(printed.contains("re-projection MSE") && printed.contains("input view at"), "{printed}");

    let missing = maquette(&["eval", "views", &mesh, &folder.text("nowhere")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("nowhere"), "{}", text(&missing.stderr));
}

#[test]
fn json_lines_follow_the_job() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let output = small(&["generate", &folder.text("disc.png"), "-o", &folder.text("a.glb"), "--json"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (result, steps) = lines.split_last().unwrap();
    assert_eq!(result["event"], "result");
    assert!(result["report"]["health"]["triangles"].as_u64().unwrap() > 100);
    let fractions: Vec<f64> = steps.iter().map(|line| line["fraction"].as_f64().unwrap()).collect();
    assert!(fractions.windows(2).all(|pair| pair[0] <= pair[1]) && fractions.last() == Some(&1.0), "{fractions:?}");
}

#[test]
fn recipes_are_printed_completed_and_checked() {
    let defaults = maquette(&["recipe"]);
    let value: serde_json::Value = serde_json::from_slice(&defaults.stdout).unwrap();
    assert_eq!(value["preset"], "standard");
    assert!(serde_json::from_slice::<serde_json::Value>(&maquette(&["recipe", "--schema"]).stdout).unwrap()["properties"]
        ["bake"]["properties"]["texture_size"]["maximum"]
        .is_number());
    let wrong = maquette(&["recipe", "--set", "bake.texturesize=1"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("did you mean bake.texture_size?"), "{}", text(&wrong.stderr));
    assert_eq!(maquette(&["generate"]).status.code(), Some(2));
    assert_eq!(maquette(&["recipe", "--set", "seed"]).status.code(), Some(2));
}

#[test]
fn bad_pictures_are_refused_and_nothing_is_written() {
    let folder = Folder::new();
    let target = folder.text("out.glb");
    let picture = folder.text("p.png");
    let generate = || small(&["generate", &picture, "-o", &target]);

    refused(&generate(), &["p.png", "No such file"], folder.held.path(), &[]);

    fs::write(&picture, b"this is not a picture").unwrap();
    refused(&generate(), &["p.png", "not a picture"], folder.held.path(), &["p.png"]);

    fs::write(&picture, b"").unwrap();
    refused(&generate(), &["p.png", "empty"], folder.held.path(), &["p.png"]);

    image::RgbaImage::from_pixel(64, 64, image::Rgba([9, 9, 9, 0])).save(&picture).unwrap();
    refused(&generate(), &["transparent"], folder.held.path(), &["p.png"]);

    image::RgbaImage::from_pixel(1, 1, image::Rgba([9, 9, 9, 255])).save(&picture).unwrap();
    refused(&generate(), &["1x1"], folder.held.path(), &["p.png"]);

    disc(Path::new(&picture));
    let whole = fs::read(&picture).unwrap();
    fs::write(&picture, &whole[..whole.len() / 2]).unwrap();
    refused(&generate(), &["p.png"], folder.held.path(), &["p.png"]);

    // A header that promises 20000 x 20000 pixels is refused before anything is decoded.
    let mut huge = whole;
    huge[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    huge[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    fs::write(&picture, &huge).unwrap();
    refused(&generate(), &["20000x20000", "limit"], folder.held.path(), &["p.png"]);
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[test]
fn bad_views_meshes_and_outputs_are_refused() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let picture = folder.text("disc.png");
    let kept = ["disc.png"];

    let nowhere = small(&["generate", &picture, "-o", &folder.text("no/such/folder/a.glb")]);
    refused(&nowhere, &["a.glb"], folder.held.path(), &kept);
    let format = small(&["generate", &picture, "-o", &folder.text("a.fbx")]);
    refused(&format, &["fbx", ".glb"], folder.held.path(), &kept);
    let views = small(&["reconstruct", &folder.text("views"), "-o", &folder.text("a.glb")]);
    refused(&views, &["views"], folder.held.path(), &kept);

    fs::create_dir(folder.path("views")).unwrap();
    let empty = small(&["reconstruct", &folder.text("views"), "-o", &folder.text("a.glb")]);
    refused(&empty, &["views"], folder.held.path(), &["disc.png", "views"]);

    fs::write(folder.path("m.glb"), b"glTF").unwrap();
    let mesh = small(&["texture", &folder.text("m.glb"), &folder.text("views"), "-o", &folder.text("a.glb")]);
    refused(&mesh, &["m.glb"], folder.held.path(), &["disc.png", "m.glb", "views"]);
}

/// Starts a command, presses Ctrl-C after a while and waits until it has ended as interrupted.
#[cfg(unix)]
fn interrupted(arguments: &[&str], after_ms: u64) {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
    let mut child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(after_ms));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "{arguments:?} goes on after Ctrl-C");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(130), "{arguments:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let (picture, mesh, views) = (folder.text("disc.png"), folder.text("a.glb"), folder.text("views"));
    interrupted(&["generate", &picture, "-o", &mesh, "--no-cache", "--set", "coarse.iterations=5000"], 1500);
    assert_eq!(files(folder.held.path()), ["disc.png"]);

    // Views so large that measuring them lasts.
    let made = small(&["generate", &picture, "-o", &mesh, "--views-out", &views]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let paths = files(Path::new(&views)).into_iter().map(|name| Path::new(&views).join(name));
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "png")) {
        let view = image::open(&path).unwrap();
        view.resize_exact(1536, 1536, image::imageops::FilterType::Triangle).save(&path).unwrap();
    }
    let before = files(folder.held.path());
    interrupted(&["eval", "views", &mesh, &views, "--picture", &picture], 1500);
    assert_eq!(files(folder.held.path()), before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_job_with_its_reason() {
    // /dev/full takes no byte; as a cache it costs a warning, as an output an error.
    let folder = Folder::new();
    disc(&folder.path("disc.png"));
    let output = small(&["generate", &folder.text("disc.png"), "-o", "/dev/full/a.glb"]);
    assert_eq!(output.status.code(), Some(1));
    let arguments: Vec<&str> = SMALL.iter().copied().filter(|argument| *argument != "--no-cache").collect();
    let cached = Command::new(env!("CARGO_BIN_EXE_maquette"))
        .args(["generate", &folder.text("disc.png"), "-o", &folder.text("a.glb"), "--cache", "/dev/full"])
        .args(arguments)
        .arg("views.size_px=96")
        .output()
        .unwrap();
    assert!(cached.status.success(), "{}", text(&cached.stderr));
    assert!(text(&cached.stderr).contains("cache"), "{}", text(&cached.stderr));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one() {
    let to = |output: std::process::Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
        command.args(["recipe", "--schema"]).stdout(output).stderr(std::process::Stdio::piped());
        command.spawn().unwrap().wait_with_output().unwrap()
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = to(writer.into());
    assert!(unread.status.success() && unread.stderr.is_empty(), "{}", text(&unread.stderr));
    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let unwritten = to(full.into());
        assert_eq!(unwritten.status.code(), Some(1));
        assert!(text(&unwritten.stderr).contains("writing to standard output"), "{}", text(&unwritten.stderr));
    }
}
