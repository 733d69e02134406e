/* maquette.h - one picture in, one textured 3D mesh out, inside your process.
 *
 * The road of a job (cpp/examples/minimal.c walks it):
 *
 *   maq_context_new  ->  maq_job_start  ->  maq_job_poll until it is not MAQ_PENDING
 *                    ->  maq_job_mesh, maq_job_image, maq_job_save  ->  maq_job_free
 *
 * Threads.   Every function may be called from any thread. The library never calls back into the host: work runs on
 *            threads that it owns, and the host polls. Nothing but maq_job_wait and maq_mesh_sdf waits for work. Freeing a
 *            handle while another call uses it is safe.
 * Memory.    Inputs are copied before a call returns; what a file path names is read by the job. Outputs are borrowed:
 *            each function says until when. Nothing is to be released with free().
 * Strings    are NUL-terminated UTF-8. A function that gives text returns the bytes that the whole text needs, its NUL
 *            included, and writes what fits into `capacity` bytes, always terminated, never cutting a character in two;
 *            (NULL, 0) asks for the size. It returns 0 when it failed.
 * Structs    start with their own size. Set struct_size and leave what you do not use zero: zero is the default
 *            everywhere. A host that was built with an older header works: fields it does not know are not read or
 *            written. A newer one works as long as it leaves unknown fields zero, and is told when it does not.
 * Errors.    A maq_status below zero is an error; maq_last_error has the reason and the remedy in words.
 * Silence.   The library prints nothing, opens no network connection, lets no panic out, and leaves signal handlers,
 *            locale and floating-point state alone. With MAQ_LOG=stderr, or MAQ_LOG=<file>, in the environment it writes
 *            one line for each start, stage and end of a job.
 * fork.      After fork() the child starts with no handles: those of its parent are unknown there, and the error says
 *            so. It may create its own and work.
 * Unloading  the library while a job is at work is not supported; on Linux it stays loaded by itself.
 *
 * Space.     Right-handed, +Y up, the object's front faces +Z, metres. Triangles are counter-clockwise seen from outside.
 * Images.    Row 0 on top, 8-bit sRGB, straight alpha. The origin of texture coordinates is bottom-left.
 */
#ifndef MAQUETTE_H
#define MAQUETTE_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(_WIN32)
#define MAQ_API __declspec(dllimport)
#else
#define MAQ_API
#endif

/* Version of this header. The major number grows with any change that breaks a host, the minor number with additions:
 * functions, trailing fields, codes. */
#define MAQ_ABI_MAJOR 1u
#define MAQ_ABI_MINOR 0u
#define MAQ_ABI ((MAQ_ABI_MAJOR << 16) | MAQ_ABI_MINOR)

/* Handles. 0 is never one; a number is never given twice in a process, so a stale one or one freed twice is harmless. */
typedef uint32_t maq_context;
typedef uint32_t maq_job;

/* Numbers are never reused. */
typedef int32_t maq_status;
enum {
  MAQ_OK = 0,
  MAQ_PENDING = 1,                 /* no error: the job has not ended */
  MAQ_ERROR_INTERNAL = -1,         /* a fault of the library: please report it with its message */
  MAQ_ERROR_INVALID_ARGUMENT = -2, /* the message names the argument, its value and what to do */
  MAQ_ERROR_INVALID_HANDLE = -3,   /* freed, never given, of the other kind, or from before a fork */
  MAQ_ERROR_ABI_MISMATCH = -4,     /* header and library differ in major version: update the older one */
  MAQ_ERROR_BUSY = -5,             /* too many jobs wait in this context */
  MAQ_ERROR_CANCELLED = -6,
  MAQ_ERROR_OUT_OF_MEMORY = -7,
  MAQ_ERROR_NO_DEVICE = -8,
  MAQ_ERROR_DEVICE_LOST = -9, /* free the context and create another */
  MAQ_ERROR_WEIGHTS = -10,    /* weights are missing, damaged or of another model */
  MAQ_ERROR_IO = -11          /* the message names the file */
};

typedef uint32_t maq_device_kind;
enum { MAQ_DEVICE_CPU = 1, MAQ_DEVICE_CUDA = 2 };

/* Stages of a job in the order they run; some jobs leave some out. Tolerate unknown values: maq_stage_name names them. */
typedef uint32_t maq_stage;
enum {
  MAQ_STAGE_QUEUED = 0,
  MAQ_STAGE_LOAD = 1,
  MAQ_STAGE_SEGMENT = 2,
  MAQ_STAGE_VIEWS = 3,
  MAQ_STAGE_COARSE = 4,
  MAQ_STAGE_REFINE = 5,
  MAQ_STAGE_DETAIL = 6,
  MAQ_STAGE_TEXTURE = 7,
  MAQ_STAGE_BAKE = 8,
  MAQ_STAGE_FINISH = 9,
  MAQ_STAGE_DONE = 10
};

typedef uint32_t maq_image_kind;
enum {
  MAQ_IMAGE_BASE_COLOR = 1,
  MAQ_IMAGE_NORMAL_MAP = 2, /* tangent space, +Y up, MikkTSpace */
  MAQ_IMAGE_CUTOUT = 3      /* the picture with the object cut out */
};

/* maq_job_wait without a limit. */
#define MAQ_FOREVER 0xFFFFFFFFu

/* A device that can run jobs. The caller sets struct_size, the library the rest. */
typedef struct {
  uint32_t struct_size;
  maq_device_kind kind;
  uint64_t memory_bytes; /* its whole memory; 0: unknown */
  char name[128];
  char note[256]; /* why it cannot be used, or "" */
} maq_device_info;

typedef struct {
  uint32_t struct_size;
  uint32_t device_index; /* of maq_device_get; 0 is the CPU */
  uint32_t threads;      /* CPU threads of a job; 0: one for each core */
  uint32_t reserved;     /* 0 */
  const char *cache_dir; /* NULL: the user's cache folder; "": no cache. Any number of processes may share one. */
} maq_context_config;

/* A picture of 1 to 16384 pixels a side, 100 million in all. */
typedef struct {
  uint32_t struct_size;
  uint32_t width, height; /* pixels */
  uint32_t reserved;      /* 0 */
  const uint8_t *rgba;    /* [height][width][4] */
} maq_image;

/* A triangle mesh of up to 20 million vertices and triangles. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  uint64_t vertex_count, triangle_count;
  const float *positions;    /* [vertex_count][3] */
  const float *normals;      /* [vertex_count][3], unit length. Input and previews: may be NULL */
  const uint32_t *triangles; /* [triangle_count][3] */
  const float *corner_uvs;   /* [triangle_count][3][2], one pair for each corner; NULL: not unwrapped */
} maq_mesh;

/* A pinhole camera over an image of a known size. OpenGL axes: x right, y up, it looks along -z. Pixel (row, column) has
 * its centre at (column + 0.5, row + 0.5). */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  float focal_px[2], center_px[2];
  float world_from_camera[16]; /* camera to world, rows first; a rotation and a translation */
} maq_camera;

/* A posed picture of the object. In an array all elements have the same struct_size, which is their distance too. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;                        /* 0 */
  float azimuth_degrees, elevation_degrees; /* where the camera stands: 0, 0 is the front, 90, 0 looks at +X, 0, 90 down */
  const maq_image *color;                   /* alpha is the object's mask */
  const maq_image *normal;                  /* unit normals in world space as rgb = n * 0.5 + 0.5, or NULL */
  const maq_camera *camera; /* NULL on input: 30 degrees of view from 1.866 m at the angles above, which just holds a
                               sphere of radius 0.5. With a camera the angles are not read. */
} maq_view;

/* What to do and with what. Of `picture` and `picture_path`, `views` and `views_path`, `mesh` and `mesh_path` at most one
 * each. The recipe's "task" says what is made of them; "auto", the default:
 *   mesh and views           a new texture for the mesh; vertices, triangles and texture coordinates come back as given
 *   mesh and picture         the same, with the picture laid over the mesh as its front view and continued over the rest
 *   picture                  a new mesh
 *   views without picture    a new mesh through the given views
 * "refine" pulls a given mesh towards the picture, the views or both, and gives it a new texture. */
typedef struct {
  uint32_t struct_size;
  uint32_t view_count;      /* elements of `views`, up to 64 */
  const maq_image *picture; /* the one picture */
  const maq_view *views;    /* posed pictures of the object */
  const maq_mesh *mesh;
  const char *recipe; /* JSON, whole or partial (maq_recipe_schema, maq_recipe_resolve); NULL: all defaults */
  const char *name;   /* of the object, kept in saved files; NULL: the stem of the picture's or mesh's file */
  const char *picture_path; /* PNG, JPEG, WebP, BMP, TIFF, TGA */
  const char *views_path;   /* a folder of pictures, as for the command line's `reconstruct` */
  const char *mesh_path;    /* .glb .gltf .obj */
} maq_request;

typedef struct {
  uint32_t struct_size;
  maq_stage stage;
  uint32_t step, step_count; /* inside the stage; step_count 0: unknown */
  float fraction;            /* of the whole job, 0 to 1, never falls; 1 when and only when the job succeeded */
  uint32_t preview_revision; /* grows whenever maq_job_preview has a newer mesh; 0: none yet */
} maq_progress;

/* ---- Library ---- */

/* MAQ_ABI of the library. */
MAQ_API uint32_t maq_abi(void);
/* Version for people, as "0.1.0". Static storage. */
MAQ_API const char *maq_version(void);
/* "MAQ_OK", "MAQ_ERROR_IO", ...; "MAQ_?" for an unknown code. Static storage, never NULL. */
MAQ_API const char *maq_status_name(maq_status status);
/* "coarse", "texture", ... in lower case; "?" for an unknown stage. Static storage, never NULL. */
MAQ_API const char *maq_stage_name(maq_stage stage);
/* Why the last call on this thread that failed did so; "" when none has. Calls that succeed leave it alone. */
MAQ_API size_t maq_last_error(char *text, size_t capacity);
/* The whole recipe, as JSON, that a partial one stands for: laid over its preset, checked. NULL or "{}" gives the defaults,
 * {"preset": "fine"} those of a preset. Fails as maq_job_start would: unknown keys are refused and the nearest known key
 * is named, values are checked against their range. */
MAQ_API size_t maq_recipe_resolve(const char *recipe, char *text, size_t capacity);
/* JSON Schema of the recipe: names, types, ranges, defaults, help. */
MAQ_API size_t maq_recipe_schema(char *text, size_t capacity);

/* Signed distances, in metres, to a mesh at the vertices of a grid over the cube from -0.5 to 0.5: `resolution` cells an axis,
 * 1 to 256; (resolution + 1)^3 values, x fastest, then y, then z; negative inside. Holes are closed (winding number).
 * Distances above `reach` are given as `reach`: a few cells are much faster than INFINITY. capacity: values that `distances`
 * has room for. Works on the calling thread and helpers of its own until it is done. */
MAQ_API maq_status maq_mesh_sdf(const maq_mesh *mesh, uint32_t resolution, float reach, float *distances, size_t capacity);

/* ---- Devices: index 0 is the CPU ---- */

/* Number of devices, those that cannot be used included. */
MAQ_API maq_status maq_device_count(uint32_t *count);
/* MAQ_ERROR_NO_DEVICE when index is not below the count. */
MAQ_API maq_status maq_device_get(uint32_t index, maq_device_info *info);

/* ---- Context: a device and a queue of jobs ---- */

/* Sets every field to its default. struct_size: sizeof(maq_context_config). */
MAQ_API maq_status maq_context_config_init(maq_context_config *config, uint32_t struct_size);
/* Quick: no file is opened and no thread started. abi: MAQ_ABI. config: NULL for all defaults. */
MAQ_API maq_status maq_context_new(uint32_t abi, const maq_context_config *config, maq_context *context);
/* Jobs that were started go on to their end, also those that wait. Unknown handles are ignored. */
MAQ_API void maq_context_free(maq_context context);

/* ---- Job ---- */

/* Sets every field to its default. struct_size: sizeof(maq_request). */
MAQ_API maq_status maq_request_init(maq_request *request, uint32_t struct_size);
/* Checks and copies the request and returns; a fault in the content of a file ends the job instead. Jobs of one context run
 * one after another, in the order they were started, those of different contexts side by side. MAQ_ERROR_BUSY when 256
 * jobs wait already. */
MAQ_API maq_status maq_job_start(maq_context context, const maq_request *request, maq_job *job);
/* MAQ_PENDING until the job has ended, then how it ended: MAQ_OK, MAQ_ERROR_CANCELLED or another error. Never waits.
 * progress: NULL for the status alone. After an error or a cancel it stays at the stage where the job ended. */
MAQ_API maq_status maq_job_poll(maq_job job, maq_progress *progress);
/* As maq_job_poll, after waiting up to timeout_ms for the job to end. MAQ_FOREVER: without a limit. */
MAQ_API maq_status maq_job_wait(maq_job job, uint32_t timeout_ms);
/* Asks the job to stop and returns at once. A job that waits in the queue ends there and then, one at work within 250 ms;
 * a job that has ended keeps its result. Cannot be undone. Unknown handles are ignored. */
MAQ_API void maq_job_cancel(maq_job job);
/* What went wrong and what to do, when the job ended with an error; else "". */
MAQ_API size_t maq_job_error(maq_job job, char *text, size_t capacity);
/* The newest mesh of a job at work: positions and triangles. Valid until the next maq_job_preview of this job or its
 * maq_job_free, on whatever thread. MAQ_PENDING, and an empty mesh, while there is none. */
MAQ_API maq_status maq_job_preview(maq_job job, maq_mesh *mesh);

/* The results below are borrowed until maq_job_free. Before the job has ended they return MAQ_PENDING, and after it failed
 * its error, and leave the struct empty. */

/* The mesh, with normals and texture coordinates. */
MAQ_API maq_status maq_job_mesh(maq_job job, maq_mesh *mesh);
/* An image. MAQ_ERROR_INVALID_ARGUMENT when the job has none of this kind: it was not asked for. */
MAQ_API maq_status maq_job_image(maq_job job, maq_image_kind kind, maq_image *image);
/* The posed pictures that shape and texture were fitted to. */
MAQ_API maq_status maq_job_view_count(maq_job job, uint32_t *count);
/* One of them, as maq_request.views takes it: paint over or replace one and start another job with them. */
MAQ_API maq_status maq_job_view(maq_job job, uint32_t index, maq_view *view);
/* JSON: health of the mesh, timings, provenance, warnings. */
MAQ_API size_t maq_job_report(maq_job job, char *text, size_t capacity);
/* Writes mesh and textures: .glb .gltf .obj .ply, by the extension. Each file is written whole or not at all. A library that
 * was built with OpenVDB also writes the solid as a level set: .vdb. */
MAQ_API maq_status maq_job_save(maq_job job, const char *path);
/* Writes one image as PNG, whole or not at all. */
MAQ_API maq_status maq_job_save_image(maq_job job, maq_image_kind kind, const char *path);
/* Cancels the job if it is at work and gives up its handle and results. Returns at once: the worker lets go of what it holds
 * within 250 ms. Unknown handles are ignored. */
MAQ_API void maq_job_free(maq_job job);
#ifdef __cplusplus
}
#endif
#endif
