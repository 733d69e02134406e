//! What the command line understands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// One picture in, a textured mesh out.
#[derive(Parser)]
#[command(name = "maquette", version, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 cancelled.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a textured mesh from one picture.
    Generate(Generate),
    /// Make a textured mesh from posed views.
    Reconstruct(Reconstruct),
    /// Give an existing mesh a new texture from posed views; its vertices and texture coordinates stay.
    Texture(Texture),
    /// Pull an existing mesh towards a picture of its front, and towards views if there are some, and texture it anew.
    Refine(Refine),
    /// Draw a contact sheet of a mesh seen from around.
    Turntable(Turntable),
    /// Say what is in a mesh file, and whether it is healthy.
    Inspect(Inspect),
    /// Measure how good something is.
    Eval {
        /// What is measured.
        #[command(subcommand)]
        what: Eval,
    },
    /// See, fetch, check and remove the models that `views.source = "zero123plus"` needs.
    Models {
        /// What to do with them.
        #[command(subcommand)]
        what: Models,
    },
    /// Print the settings of a job: defaults, a whole recipe, or the schema.
    Recipe(Recipe),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
pub(crate) struct Generate {
    /// The picture: PNG, JPEG, WebP, BMP, TIFF or TGA, at best with the object cut out.
    pub(crate) picture: PathBuf,
    /// Take these views of the object as well: a folder, or a 640x960 sheet of six.
    #[arg(long, value_name = "DIR")]
    pub(crate) views: Option<PathBuf>,
    /// What makes the views, as `--set views.source=NAME`.
    #[arg(long, value_name = "NAME")]
    pub(crate) view_source: Option<String>,
    #[command(flatten)]
    pub(crate) job: Job,
}

#[derive(Args)]
pub(crate) struct Reconstruct {
    /// Folder with the views (0_albedo.png ... or front.png ...), or a 640x960 sheet of six.
    #[arg(value_name = "VIEWS_DIR")]
    pub(crate) views: PathBuf,
    #[command(flatten)]
    pub(crate) job: Job,
}

#[derive(Args)]
pub(crate) struct Texture {
    /// The mesh: .glb, .gltf or .obj.
    pub(crate) mesh: PathBuf,
    /// Folder with the views (0_albedo.png ... or front.png ...), or a 640x960 sheet of six.
    #[arg(value_name = "VIEWS_DIR", required_unless_present = "picture")]
    pub(crate) views: Option<PathBuf>,
    /// One picture of the front instead of views; the rest continues its colours.
    #[arg(long, value_name = "FILE", conflicts_with = "views")]
    pub(crate) picture: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) job: Job,
}

#[derive(Args)]
pub(crate) struct Refine {
    /// The mesh: .glb, .gltf or .obj.
    pub(crate) mesh: PathBuf,
    /// The picture of its front. From how high up it was taken is found out.
    #[arg(long, value_name = "FILE", required_unless_present = "views")]
    pub(crate) picture: Option<PathBuf>,
    /// Views of the object in the mesh's frame: a folder, or a 640x960 sheet of six. Without them the mesh itself is
    /// looked at from six sides.
    #[arg(long, value_name = "DIR")]
    pub(crate) views: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) job: Job,
}

#[derive(Subcommand)]
pub(crate) enum Eval {
    /// How well views of a mesh agree with one another and with the input picture, as they are and shifted.
    Views(EvalViews),
}

#[derive(Args)]
pub(crate) struct EvalViews {
    /// The mesh: .glb, .gltf or .obj, in the frame of the views.
    pub(crate) mesh: PathBuf,
    /// Folder with the views (0_albedo.png ... or front.png ...), or a 640x960 sheet of six.
    #[arg(value_name = "VIEWS_DIR")]
    pub(crate) views: PathBuf,
    /// The input picture: the views are shifted towards it, and measured against it, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
    /// Set one value of the recipe, as in `--set detail.shifting=2d`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Models {
    /// Say which models are known, under which licences, and which of them are here.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model into the cache, once its licence is accepted; goes on where an interrupted pull stopped.
    Pull {
        /// Name of the model, as `maquette models list` says it.
        model: String,
        /// The licence is accepted; without it the question is asked.
        #[arg(long)]
        accept_license: bool,
        /// Show nothing but errors.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Check a model: every file, and every tensor's name and shape.
    Verify {
        /// Name of a known model, or a folder.
        model: String,
        /// Read all weights as well, and find numbers that are not finite.
        #[arg(long)]
        values: bool,
    },
    /// Print the folder of a model.
    Path {
        /// Name of the model.
        model: String,
    },
    /// Remove a model from the cache.
    Remove {
        /// Name of the model.
        model: String,
    },
}

/// Options of every command that runs a job.
#[derive(Args)]
pub(crate) struct Job {
    /// Where the result goes: .glb, .gltf, .obj or .ply. Default: the input's name with .glb, in the current folder.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Settings as a JSON file, whole or partial (see `maquette recipe`).
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// Set one value of the recipe, as in `--set bake.texture_size=2048`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// How much time to spend.
    #[arg(long, value_enum)]
    pub(crate) preset: Option<Preset>,
    /// Seed of everything random.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Triangles of the result at most; 0 keeps all.
    #[arg(long)]
    pub(crate) triangles: Option<u32>,
    /// Side of the texture in texels.
    #[arg(long)]
    pub(crate) texture_size: Option<u32>,
    /// Also write the views here, to be painted over and given back.
    #[arg(long, value_name = "DIR")]
    pub(crate) views_out: Option<PathBuf>,
    /// Also write the report (mesh health, timings, provenance, warnings) as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Folder of the stage cache. Default: the user's cache folder.
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub(crate) cache: Option<PathBuf>,
    /// Compute every stage anew and keep nothing.
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) output_style: OutputStyle,
}

#[derive(Args)]
pub(crate) struct OutputStyle {
    /// Progress and result as JSON lines on standard output.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Say nothing but errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Preset {
    Draft,
    Standard,
    Fine,
}

impl Preset {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Standard => "standard",
            Self::Fine => "fine",
        }
    }
}

#[derive(Args)]
pub(crate) struct Turntable {
    /// The mesh: .glb, .gltf or .obj.
    pub(crate) mesh: PathBuf,
    /// The sheet, a PNG.
    #[arg(short, long, default_value = "turntable.png")]
    pub(crate) output: PathBuf,
    /// How to draw the surface. May be repeated: one block of rows each.
    #[arg(long, value_enum, default_values_t = [Look::Shaded, Look::Color])]
    pub(crate) look: Vec<Look>,
    /// Views in a row, equally far apart.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) columns: u32,
    /// Elevations of the rows in degrees.
    #[arg(long, value_delimiter = ',', default_values_t = [15.0], allow_hyphen_values = true)]
    pub(crate) elevations: Vec<f32>,
    /// Side of one view in pixels.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=2048))]
    pub(crate) size: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Look {
    /// Grey clay in a fixed light.
    Shaded,
    /// The base colour, unlit.
    Color,
    /// World-space normals.
    Normal,
    /// Clay with the edges of the triangles.
    Wireframe,
}

#[derive(Args)]
pub(crate) struct Inspect {
    /// The mesh: .glb, .gltf or .obj.
    pub(crate) file: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Recipe {
    /// Print the JSON Schema: names, types, ranges, help.
    #[arg(long, conflicts_with_all = ["recipe", "preset", "set"])]
    pub(crate) schema: bool,
    /// Complete this recipe.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// The preset to print.
    #[arg(long, value_enum)]
    pub(crate) preset: Option<Preset>,
    /// Set one value. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}
