/* A hostile host in C: every promise of maquette.h that a C program can test. Run by rust/capi/tests/hosts.rs.
 *
 *   host CASE...   runs the named cases; exit status 0 when all hold.
 *
 * SLOW in the environment (valgrind): fewer rounds, no time limits. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "maquette.h"

static void check(int holds, const char *text, int line) {
  if (holds) return;
  char reason[4096];
  maq_last_error(reason, sizeof reason);
  fprintf(stderr, "host.c:%d: %s: last error: %s\n", line, text, reason);
  exit(EXIT_FAILURE);
}

static int last_error_holds(const char *text) {
  char reason[4096];
  maq_last_error(reason, sizeof reason);
  return strstr(reason, text) != NULL;
}

#define CHECK(condition) check(condition, #condition, __LINE__)

/* The call fails with this status, and the words of its error hold this text. */
#define CHECK_FAILS(call, status, text)                   \
  do {                                                    \
    check((call) == (status), #call " gives " #status, __LINE__); \
    check(last_error_holds(text), text, __LINE__);        \
  } while (0)

#define SIZED(type) \
  (type) { .struct_size = sizeof(type) }

/* The smallest job that runs every stage. */
static const char *const TINY =
    "{\"preset\": \"draft\", \"views\": {\"size_px\": 64},"
    " \"coarse\": {\"resolution\": 16, \"iterations\": 3, \"view_size_px\": 32},"
    " \"refine\": {\"iterations\": 1, \"view_size_px\": 32},"
    " \"texture\": {\"cell\": 0.02, \"footprint_samples\": 1, \"iterations\": 5},"
    " \"bake\": {\"texture_size\": 64}, \"finish\": {\"triangles\": 300}}";
/* Steps as large as an artist's, but few: long enough to be stopped anywhere. */
static const char *const LONG =
    "{\"preset\": \"standard\", \"coarse\": {\"iterations\": 8}, \"refine\": {\"iterations\": 2},"
    " \"detail\": {\"iterations\": 2}}";

enum { SIDE = 96 };

/* A ball with a light from above, on nothing. */
static const maq_image *ball(void) {
  static uint8_t pixels[SIDE][SIDE][4];
  static maq_image image;
  for (int row = 0; row < SIDE; ++row)
    for (int column = 0; column < SIDE; ++column) {
      const double x = (column + 0.5) / SIDE * 2 - 1, y = 1 - (row + 0.5) / SIDE * 2;
      const int inside = x * x + y * y < 0.7;
      const uint8_t light = (uint8_t)(140 + 100 * y);
      const uint8_t pixel[4] = {light, (uint8_t)(column * 2), 90, inside ? 255 : 0};
      memcpy(pixels[row][column], pixel, 4);
    }
  image = (maq_image){.struct_size = sizeof image, .width = SIDE, .height = SIDE, .rgba = &pixels[0][0][0]};
  return &image;
}

static int slow(void) { return getenv("SLOW") != NULL; }

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds(void) { return seconds_of(CLOCK_MONOTONIC); }

/* What all threads of this process have worked: on a machine that others keep busy too, the clock to judge us by. */
static double seconds_of_work(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

static void pause_ms(long ms) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static maq_context new_context(void) {
  maq_context_config config;
  CHECK(maq_context_config_init(&config, sizeof config) == MAQ_OK);
  config.cache_dir = "";
  maq_context context = 0;
  CHECK(maq_context_new(MAQ_ABI, &config, &context) == MAQ_OK && context != 0);
  return context;
}

/* A job from the ball's picture; from `view_count` views of it if there are any. */
static maq_job start_from(maq_context context, const char *recipe, const maq_view *views, uint32_t view_count) {
  maq_request request;
  CHECK(maq_request_init(&request, sizeof request) == MAQ_OK);
  if (view_count == 0) request.picture = ball();
  request.views = views;
  request.view_count = view_count;
  request.recipe = recipe;
  request.name = "ball";
  maq_job job = 0;
  CHECK(maq_job_start(context, &request, &job) == MAQ_OK && job != 0);
  return job;
}

static maq_job start(maq_context context, const char *recipe) { return start_from(context, recipe, NULL, 0); }

static void check_job_ok(maq_job job) {
  const maq_status status = maq_job_wait(job, MAQ_FOREVER);
  if (status != MAQ_OK) {
    char words[1024];
    maq_job_error(job, words, sizeof words);
    fprintf(stderr, "job ended with %s: %s\n", maq_status_name(status), words);
    exit(EXIT_FAILURE);
  }
}

/* A cube of edge 0.5 around the origin, without texture coordinates. */
static maq_mesh cube(void) {
  static float corners[8][3];
  static const uint32_t triangles[12][3] = {{0, 2, 3}, {0, 3, 1}, {4, 5, 7}, {4, 7, 6}, {0, 1, 5}, {0, 5, 4},
                                            {2, 6, 7}, {2, 7, 3}, {0, 4, 6}, {0, 6, 2}, {1, 3, 7}, {1, 7, 5}};
  for (int k = 0; k < 8; ++k)
    for (int axis = 0; axis < 3; ++axis) corners[k][axis] = (k >> axis & 1) ? 0.25f : -0.25f;
  return (maq_mesh){.struct_size = sizeof(maq_mesh), .vertex_count = 8, .triangle_count = 12, .positions = &corners[0][0],
                    .triangles = &triangles[0][0]};
}

/* ---- Cases ---- */

static void names(void) {
  CHECK(maq_abi() == MAQ_ABI);
  CHECK(strlen(maq_version()) >= 5);
  CHECK(strcmp(maq_status_name(MAQ_ERROR_IO), "MAQ_ERROR_IO") == 0 && strcmp(maq_status_name(77), "MAQ_?") == 0);
  CHECK(strcmp(maq_stage_name(MAQ_STAGE_COARSE), "coarse") == 0 && strcmp(maq_stage_name(77), "?") == 0);
  uint32_t count = 0;
  CHECK(maq_device_count(&count) == MAQ_OK && count >= 1);
  maq_device_info info = SIZED(maq_device_info);
  CHECK(maq_device_get(0, &info) == MAQ_OK && info.kind == MAQ_DEVICE_CPU && info.memory_bytes > 1u << 28);
  CHECK(info.name[0] != 0 && info.note[0] == 0);
  CHECK_FAILS(maq_device_get(count, &info), MAQ_ERROR_NO_DEVICE, "there is no device");
  CHECK_FAILS(maq_device_count(NULL), MAQ_ERROR_INVALID_ARGUMENT, "count is NULL");
}

static void strings(void) {
  const size_t size = maq_recipe_schema(NULL, 0);
  CHECK(size > 1000);
  char *whole = malloc(size);
  CHECK(maq_recipe_schema(whole, size) == size && strlen(whole) == size - 1);
  for (size_t capacity = 1; capacity < 40; ++capacity) {
    char part[41];
    memset(part, 'x', sizeof part);
    CHECK(maq_recipe_schema(part, capacity) == size);
    CHECK(strlen(part) < capacity && strncmp(part, whole, strlen(part)) == 0 && part[capacity] == 'x');
  }
  free(whole);
  CHECK(maq_recipe_schema(NULL, 8) == 0);

  char recipe[8192];
  CHECK(maq_recipe_resolve("{\"preset\": \"fine\", \"seed\": 5}", recipe, sizeof recipe) > 0);
  CHECK(strstr(recipe, "\"seed\":5") != NULL && strstr(recipe, "\"preset\":\"fine\"") != NULL);
  char again[8192];
  CHECK(maq_recipe_resolve(recipe, again, sizeof again) > 0 && strcmp(recipe, again) == 0);
  CHECK(maq_recipe_resolve(NULL, recipe, sizeof recipe) > 0);
  const char *const wrong[][2] = {
      {"{\"bake\": {\"texure_size\": 512}}", "did you mean bake.texture_size?"},
      {"{\"bake\": {\"texture_size\": 7}}", "bake.texture_size is 7"},
      {"{\"seed\": ", "not valid JSON"},
      {"[]", "must be a JSON object"},
      {"\xff", "recipe is not UTF-8 (byte 0)"},
      {"", "not valid JSON"},
  };
  for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; ++k) {
    CHECK(maq_recipe_resolve(wrong[k][0], recipe, sizeof recipe) == 0);
    CHECK(last_error_holds(wrong[k][1]));
  }
  /* Brackets without end must not exhaust the stack. */
  char *deep = malloc(200001);
  memset(deep, '[', 200000);
  deep[200000] = 0;
  CHECK(maq_recipe_resolve(deep, recipe, sizeof recipe) == 0);
  free(deep);
}

static void structs(void) {
  maq_context context = 77;
  CHECK_FAILS(maq_context_new((MAQ_ABI_MAJOR + 1) << 16, NULL, &context), MAQ_ERROR_ABI_MISMATCH, "update the library");
  CHECK(context == 0);
  CHECK_FAILS(maq_context_new(0, NULL, &context), MAQ_ERROR_ABI_MISMATCH, "update the program");
  CHECK(maq_context_new(MAQ_ABI + 1, NULL, &context) == MAQ_OK);
  maq_context_free(context);
  CHECK_FAILS(maq_context_new(MAQ_ABI, NULL, NULL), MAQ_ERROR_INVALID_ARGUMENT, "context is NULL");
  maq_context_config config;
  memset(&config, 0, sizeof config);
  CHECK_FAILS(maq_context_new(MAQ_ABI, &config, &context), MAQ_ERROR_INVALID_ARGUMENT,
              "config.struct_size is 0; set it to sizeof(maq_context_config)");
  CHECK_FAILS(maq_context_config_init(&config, 3), MAQ_ERROR_INVALID_ARGUMENT, "struct_size is 3");
  CHECK_FAILS(maq_context_config_init(NULL, sizeof config), MAQ_ERROR_INVALID_ARGUMENT, "config is NULL");
  CHECK(maq_context_config_init(&config, sizeof config) == MAQ_OK);
  config.device_index = 99;
  CHECK_FAILS(maq_context_new(MAQ_ABI, &config, &context), MAQ_ERROR_NO_DEVICE, "no device 99");
  config.device_index = 0;
  config.threads = 100000;
  CHECK_FAILS(maq_context_new(MAQ_ABI, &config, &context), MAQ_ERROR_INVALID_ARGUMENT, "config.threads is 100000");
  config.threads = 0;
  config.reserved = 1;
  CHECK_FAILS(maq_context_new(MAQ_ABI, &config, &context), MAQ_ERROR_INVALID_ARGUMENT, "config.reserved");

  /* A host with an older, shorter header: what lies behind its struct is not read. */
  config.threads = 100000;
  config.reserved = 1;
  config.cache_dir = (const char *)(uintptr_t)1;
  config.struct_size = offsetof(maq_context_config, threads);
  CHECK(maq_context_new(MAQ_ABI, &config, &context) == MAQ_OK);
  /* A size that ends inside of a field: the field is not read. */
  config.struct_size = offsetof(maq_context_config, threads) + 2;
  maq_context other;
  CHECK(maq_context_new(MAQ_ABI, &config, &other) == MAQ_OK);
  maq_context_free(other);
  /* A host with a newer, longer one: fine while the new fields are zero. */
  struct {
    maq_request known;
    uint64_t unknown;
  } longer;
  CHECK(maq_request_init(&longer.known, sizeof longer) == MAQ_OK && longer.unknown == 0);
  longer.known.picture = ball();
  longer.known.recipe = TINY;
  longer.unknown = 1;
  maq_job job;
  CHECK_FAILS(maq_job_start(context, &longer.known, &job), MAQ_ERROR_INVALID_ARGUMENT, "does not know");
  longer.unknown = 0;
  CHECK(maq_job_start(context, &longer.known, &job) == MAQ_OK);
  struct {
    maq_progress known;
    uint32_t unknown, after;
  } progress = {.known = {.struct_size = sizeof(maq_progress) + 4}, .unknown = 7, .after = 7};
  maq_job_poll(job, &progress.known);
  CHECK(progress.unknown == 0 && progress.after == 7 && progress.known.struct_size == sizeof(maq_progress) + 4);
  /* Filled no further than the host's size. */
  maq_progress shorter;
  memset(&shorter, 7, sizeof shorter);
  shorter.struct_size = offsetof(maq_progress, fraction);
  maq_job_poll(job, &shorter);
  CHECK(shorter.preview_revision == 0x07070707 && shorter.stage <= MAQ_STAGE_DONE);
  shorter.struct_size = 1 << 20;
  CHECK_FAILS(maq_job_poll(job, &shorter), MAQ_ERROR_INVALID_ARGUMENT, "progress.struct_size is 1048576");
  maq_job_free(job);
  maq_context_free(context);
}

static void requests(void) {
  const maq_context context = new_context();
  maq_job job = 77;
  CHECK_FAILS(maq_job_start(context, NULL, &job), MAQ_ERROR_INVALID_ARGUMENT, "request is NULL");
  CHECK(job == 0);
  maq_request request;
  maq_request_init(&request, sizeof request);
  CHECK_FAILS(maq_job_start(context, &request, NULL), MAQ_ERROR_INVALID_ARGUMENT, "job is NULL");
#define REFUSED(text) CHECK_FAILS(maq_job_start(context, &request, &job), MAQ_ERROR_INVALID_ARGUMENT, text)
  maq_image image = *ball();
  request.picture = &image;
  image.struct_size = 0;
  REFUSED("request.picture.struct_size is 0");
  image = *ball();
  image.rgba = NULL;
  REFUSED("request.picture.rgba is NULL");
  image = *ball();
  image.width = 0;
  REFUSED("image is empty (0x96");
  image.width = 1u << 31;
  REFUSED("too large");
  image = *ball();
  image.reserved = 5;
  REFUSED("request.picture.reserved is 5");
  image = *ball();
  request.picture_path = "photo.png";
  REFUSED("request.picture and request.picture_path (photo.png) are both set");
  request.picture_path = "";
  REFUSED("request.picture_path is empty");
  request.picture_path = NULL;
  request.recipe = "{\"sead\": 3}";
  REFUSED("did you mean seed?");
  request.recipe = TINY;
  request.name = "\xc3\x28";
  REFUSED("request.name is not UTF-8");
  request.name = NULL;

  maq_view view = SIZED(maq_view);
  request.view_count = 1;
  REFUSED("request.view_count is 1 and request.views is NULL");
  request.views = &view;
  request.view_count = 65;
  REFUSED("give 1 to 64 views");
  request.view_count = 1;
  REFUSED("request.views[0].color is NULL");
  view.color = ball();
  view.elevation_degrees = 91;
  REFUSED("elevation 91");
  view.elevation_degrees = 0;
  maq_camera camera = SIZED(maq_camera);
  view.camera = &camera;
  REFUSED("request.views[0].camera: camera matrix");
  view.camera = NULL;
  maq_view two[2] = {view, view};
  two[1].struct_size -= 8;
  request.views = two;
  request.view_count = 2;
  REFUSED("request.views[1].struct_size");
  request.views = NULL;
  request.view_count = 0;

  const float corner[3][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}};
  const uint32_t triangle[3] = {0, 1, 3};
  maq_mesh mesh = SIZED(maq_mesh);
  request.mesh = &mesh;
  REFUSED("request.mesh has 0 vertices");
  mesh.vertex_count = UINT64_MAX;
  mesh.triangle_count = 1;
  REFUSED("18446744073709551615 vertices");
  mesh.vertex_count = 3;
  REFUSED("request.mesh.positions is NULL");
  mesh.positions = (const float *)((const char *)corner + 1);
  REFUSED("request.mesh.positions is not aligned to 4 bytes");
  mesh.positions = &corner[0][0];
  REFUSED("request.mesh.triangles is NULL");
  mesh.triangles = triangle;
  REFUSED("triangle 0 of the mesh names vertices [0, 1, 3]");
#undef REFUSED
  request.mesh = NULL;

  /* What can be seen in the content of files alone ends the job. */
  request.picture = NULL;
  CHECK(maq_job_start(context, &request, &job) == MAQ_OK);
  CHECK(maq_job_wait(job, MAQ_FOREVER) == MAQ_ERROR_INVALID_ARGUMENT);
  maq_job_free(job);
  request.picture_path = "/nowhere/photo.png";
  CHECK(maq_job_start(context, &request, &job) == MAQ_OK);
  CHECK(maq_job_wait(job, MAQ_FOREVER) == MAQ_ERROR_IO);
  char words[512];
  CHECK(maq_job_error(job, words, sizeof words) > 0 && strstr(words, "/nowhere/photo.png") != NULL);
  maq_mesh result = SIZED(maq_mesh);
  CHECK_FAILS(maq_job_mesh(job, &result), MAQ_ERROR_IO, "/nowhere/photo.png");
  maq_job_free(job);
  maq_context_free(context);
}

static void handles(void) {
  maq_progress progress = SIZED(maq_progress);
  CHECK_FAILS(maq_job_poll(0, &progress), MAQ_ERROR_INVALID_HANDLE, "0 is not a job: 0 is never a handle");
  CHECK_FAILS(maq_job_poll(4000000000u, &progress), MAQ_ERROR_INVALID_HANDLE, "it was never given");
  const maq_context context = new_context();
  CHECK_FAILS(maq_job_poll(context, NULL), MAQ_ERROR_INVALID_HANDLE, "is not a job but a context");
  const maq_job job = start(context, TINY);
  CHECK(job > context);
  maq_job second;
  maq_request request;
  maq_request_init(&request, sizeof request);
  CHECK_FAILS(maq_job_start(job, &request, &second), MAQ_ERROR_INVALID_HANDLE, "is not a context but a job");
  /* Freeing through the wrong function frees nothing. */
  maq_context_free(job);
  maq_job_free(context);
  CHECK(maq_job_poll(job, NULL) >= 0);
  maq_job_free(job);
  CHECK_FAILS(maq_job_poll(job, &progress), MAQ_ERROR_INVALID_HANDLE, "it was freed");
  CHECK_FAILS(maq_job_wait(job, MAQ_FOREVER), MAQ_ERROR_INVALID_HANDLE, "it was freed");
  maq_mesh mesh = SIZED(maq_mesh);
  maq_image image = SIZED(maq_image);
  maq_view view = SIZED(maq_view);
  uint32_t count = 7;
  CHECK(maq_job_mesh(job, &mesh) == MAQ_ERROR_INVALID_HANDLE && mesh.positions == NULL);
  CHECK(maq_job_preview(job, &mesh) == MAQ_ERROR_INVALID_HANDLE);
  CHECK(maq_job_image(job, MAQ_IMAGE_BASE_COLOR, &image) == MAQ_ERROR_INVALID_HANDLE);
  CHECK(maq_job_view_count(job, &count) == MAQ_ERROR_INVALID_HANDLE && count == 0);
  CHECK(maq_job_view(job, 0, &view) == MAQ_ERROR_INVALID_HANDLE);
  CHECK(maq_job_save(job, "x.glb") == MAQ_ERROR_INVALID_HANDLE);
  CHECK(maq_job_save_image(job, MAQ_IMAGE_BASE_COLOR, "x.png") == MAQ_ERROR_INVALID_HANDLE);
  CHECK(maq_job_report(job, NULL, 0) == 0 && maq_job_error(job, NULL, 0) == 0);
  maq_job_free(job);
  maq_job_cancel(job);
  maq_context_free(context);
  maq_context_free(context);
  maq_context_free(0);
  maq_job_free(0);
  CHECK_FAILS(maq_job_start(context, &request, &second), MAQ_ERROR_INVALID_HANDLE, "is not a context: it was freed");
}

/* One whole job: progress as promised, previews, every result, files. */
static void whole_job(void) {
  const maq_context context = new_context();
  const maq_job job = start(context, TINY);
  maq_context_free(context); /* the job keeps what it needs */
  maq_mesh mesh = SIZED(maq_mesh);
  maq_progress progress = SIZED(maq_progress);
  float fraction = 0;
  uint32_t revision = 0, stage = 0;
  while (maq_job_poll(job, &progress) == MAQ_PENDING) {
    CHECK(progress.fraction >= fraction && progress.fraction < 1 && progress.preview_revision >= revision);
    CHECK(progress.stage >= stage && progress.stage < MAQ_STAGE_DONE);
    CHECK(progress.step_count == 0 || progress.step <= progress.step_count);
    fraction = progress.fraction, revision = progress.preview_revision, stage = progress.stage;
    if (revision > 0) {
      CHECK(maq_job_preview(job, &mesh) == MAQ_OK && mesh.vertex_count > 3 && mesh.triangle_count > 3);
      double sum = 0; /* every number is readable */
      for (uint64_t k = 0; k < mesh.vertex_count * 3; ++k) sum += (double)mesh.positions[k];
      for (uint64_t k = 0; k < mesh.triangle_count * 3; ++k) CHECK(mesh.triangles[k] < mesh.vertex_count);
      CHECK(sum == sum);
    }
    pause_ms(1);
  }
  check_job_ok(job);
  CHECK(maq_job_poll(job, &progress) == MAQ_OK && progress.fraction == 1 && progress.stage == MAQ_STAGE_DONE);
  maq_job_cancel(job); /* after the end: the result stays */
  CHECK(maq_job_poll(job, NULL) == MAQ_OK && maq_job_error(job, NULL, 0) == 1);

  mesh = SIZED(maq_mesh);
  CHECK(maq_job_mesh(job, &mesh) == MAQ_OK && mesh.vertex_count > 3 && mesh.triangle_count > 3);
  CHECK(mesh.normals != NULL && mesh.corner_uvs != NULL);
  for (uint64_t k = 0; k < mesh.vertex_count; ++k) {
    const float *n = mesh.normals + 3 * k;
    const float length = n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
    CHECK(length > 0.99f && length < 1.01f);
  }
  for (uint64_t k = 0; k < mesh.triangle_count * 6; ++k) CHECK(mesh.corner_uvs[k] >= 0 && mesh.corner_uvs[k] <= 1);
  maq_image image = SIZED(maq_image);
  CHECK(maq_job_image(job, MAQ_IMAGE_BASE_COLOR, &image) == MAQ_OK && image.width >= 64 && image.rgba[0] <= 255);
  CHECK(maq_job_image(job, MAQ_IMAGE_CUTOUT, &image) == MAQ_OK);
  CHECK_FAILS(maq_job_image(job, 99, &image), MAQ_ERROR_INVALID_ARGUMENT, "kind is 99");
  CHECK(image.rgba == NULL);
  char report[65536];
  CHECK(maq_job_report(job, report, sizeof report) > 2 && report[0] == '{');

  char folder[] = "/tmp/maquette-XXXXXX", path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/ball.glb", folder);
  CHECK(maq_job_save(job, path) == MAQ_OK && remove(path) == 0);
  snprintf(path, sizeof path, "%s/ball.png", folder);
  CHECK(maq_job_save_image(job, MAQ_IMAGE_BASE_COLOR, path) == MAQ_OK && remove(path) == 0);
  CHECK_FAILS(maq_job_save(job, path), MAQ_ERROR_IO, "use .glb");
  CHECK_FAILS(maq_job_save(job, "/nowhere/ball.glb"), MAQ_ERROR_IO, "/nowhere");
  CHECK_FAILS(maq_job_save(job, NULL), MAQ_ERROR_INVALID_ARGUMENT, "path is NULL");
  CHECK(rmdir(folder) == 0);

  /* The views go back in, one of them painted, for a new texture: the mesh must come back bit for bit. */
  uint32_t count = 0;
  CHECK(maq_job_view_count(job, &count) == MAQ_OK && count >= 1 && count <= 16);
  maq_view views[16];
  for (uint32_t k = 0; k < count; ++k) {
    views[k] = SIZED(maq_view);
    CHECK(maq_job_view(job, k, &views[k]) == MAQ_OK && views[k].color->width > 0 && views[k].camera != NULL);
  }
  CHECK_FAILS(maq_job_view(job, count, &views[0]), MAQ_ERROR_INVALID_ARGUMENT, "views");
  CHECK(views[0].color == NULL && maq_job_view(job, 0, &views[0]) == MAQ_OK);
  maq_request request;
  maq_request_init(&request, sizeof request);
  request.mesh = &mesh;
  request.views = views;
  request.view_count = count;
  request.recipe = TINY;
  const maq_context other = new_context();
  maq_job again;
  CHECK(maq_job_start(other, &request, &again) == MAQ_OK);
  check_job_ok(again);
  maq_mesh kept = SIZED(maq_mesh);
  CHECK(maq_job_mesh(again, &kept) == MAQ_OK);
  CHECK(kept.vertex_count == mesh.vertex_count && kept.triangle_count == mesh.triangle_count);
  CHECK(memcmp(kept.positions, mesh.positions, mesh.vertex_count * 12) == 0);
  CHECK(memcmp(kept.triangles, mesh.triangles, mesh.triangle_count * 12) == 0);
  CHECK(memcmp(kept.corner_uvs, mesh.corner_uvs, mesh.triangle_count * 24) == 0);
  maq_job_free(again);
  maq_job_free(job);
  maq_context_free(other);
}

static void sdf(void) {
  maq_mesh mesh = cube();
  static float values[21 * 21 * 21];
  const size_t count = sizeof values / sizeof values[0];
  const float reach = 0.06f;
  mesh.triangle_count = 10; /* without the side at +x, which leaves the inside where it was, near the other sides */
  CHECK(maq_mesh_sdf(&mesh, 20, reach, values, count) == MAQ_OK);
  /* x fastest: the missing side is far from +x, the others are where they were. */
  CHECK(values[10 * 441 + 10 * 21 + 15] == reach || values[10 * 441 + 10 * 21 + 15] == -reach);
  CHECK(values[10 * 441 + 15 * 21 + 8] < 1e-6f && values[10 * 441 + 15 * 21 + 8] > -1e-6f);
  mesh.triangle_count = 12;
  CHECK(maq_mesh_sdf(&mesh, 20, reach, values, count) == MAQ_OK);
  CHECK(values[0] == reach && values[10 * 441 + 10 * 21 + 10] == -reach);
  const float inside = values[10 * 441 + 10 * 21 + 14], outside = values[10 * 441 + 10 * 21 + 16];
  CHECK(inside < -0.0499f && inside > -0.0501f && outside > 0.0499f && outside < 0.0501f);
  CHECK_FAILS(maq_mesh_sdf(&mesh, 20, reach, values, count - 1), MAQ_ERROR_INVALID_ARGUMENT, "need room for 9261");
  CHECK_FAILS(maq_mesh_sdf(&mesh, 0, reach, values, count), MAQ_ERROR_INVALID_ARGUMENT, "resolution is 0");
  CHECK_FAILS(maq_mesh_sdf(&mesh, 257, reach, values, count), MAQ_ERROR_INVALID_ARGUMENT, "resolution is 257");
  CHECK_FAILS(maq_mesh_sdf(&mesh, 20, 0, values, count), MAQ_ERROR_INVALID_ARGUMENT, "reach is 0");
  CHECK_FAILS(maq_mesh_sdf(&mesh, 20, reach, NULL, count), MAQ_ERROR_INVALID_ARGUMENT, "distances is NULL");
  CHECK_FAILS(maq_mesh_sdf(NULL, 20, reach, values, count), MAQ_ERROR_INVALID_ARGUMENT, "mesh is NULL");
  mesh.vertex_count = 7;
  CHECK_FAILS(maq_mesh_sdf(&mesh, 20, reach, values, count), MAQ_ERROR_INVALID_ARGUMENT, "names vertices");
}

/* A picture alone for a mesh: it becomes the front, and the mesh comes back bit for bit. */
static void texture_from_picture(void) {
  const maq_context context = new_context();
  maq_mesh mesh = cube(), painted = SIZED(maq_mesh);
  maq_request request;
  maq_request_init(&request, sizeof request);
  request.mesh = &mesh;
  request.recipe = TINY;
  maq_job job;
  CHECK(maq_job_start(context, &request, &job) == MAQ_OK);
  CHECK(maq_job_wait(job, MAQ_FOREVER) == MAQ_ERROR_INVALID_ARGUMENT);
  char words[512];
  CHECK(maq_job_error(job, words, sizeof words) && strstr(words, "views of it or one picture") != NULL);
  maq_job_free(job);
  request.picture = ball();
  CHECK(maq_job_start(context, &request, &job) == MAQ_OK);
  check_job_ok(job);
  CHECK(maq_job_mesh(job, &painted) == MAQ_OK && painted.vertex_count == 8 && painted.triangle_count == 12);
  CHECK(memcmp(painted.positions, mesh.positions, 8 * 12) == 0 && memcmp(painted.triangles, mesh.triangles, 12 * 12) == 0);
  CHECK(painted.corner_uvs != NULL); /* it had none */
  maq_image image = SIZED(maq_image);
  CHECK(maq_job_image(job, MAQ_IMAGE_BASE_COLOR, &image) == MAQ_OK && maq_job_image(job, MAQ_IMAGE_CUTOUT, &image) == MAQ_OK);
  uint32_t count = 0;
  maq_view view = SIZED(maq_view);
  CHECK(maq_job_view_count(job, &count) == MAQ_OK && count == 7);
  CHECK(maq_job_view(job, 0, &view) == MAQ_OK && view.azimuth_degrees == 0 && view.elevation_degrees == 0);
  maq_job_free(job);
  maq_context_free(context);
}

/* The fewest seconds, of three tries, that a job takes to answer a cancel once it has reached a stage. */
static void cancel_at_each_stage(void) {
  const maq_context context = new_context();
  /* The detail stage is for views that were given. */
  const maq_job source = start(context, slow() ? TINY : LONG);
  CHECK(maq_job_wait(source, MAQ_FOREVER) == MAQ_OK);
  maq_view views[6];
  for (uint32_t k = 0; k < 6; ++k) {
    views[k] = SIZED(maq_view);
    CHECK(maq_job_view(source, k, &views[k]) == MAQ_OK);
  }
  int stages_reached = 0;
  for (uint32_t stage = MAQ_STAGE_LOAD; stage < MAQ_STAGE_DONE; ++stage) {
    double fastest = 1e9;
    int tries = 0;
    while (tries < 3 && fastest > 0.25) {
      const uint32_t view_count = stage == MAQ_STAGE_DETAIL ? 6 : 0;
      const maq_job job = start_from(context, slow() ? TINY : LONG, view_count > 0 ? views : NULL, view_count);
      maq_progress progress = SIZED(maq_progress);
      maq_status status;
      while ((status = maq_job_poll(job, &progress)) == MAQ_PENDING && progress.stage < stage) pause_ms(1);
      if (status != MAQ_PENDING || progress.stage != stage) {
        maq_job_free(job);
        break; /* this job leaves the stage out, or goes through it faster than we look */
      }
      const double before = seconds(), work_before = seconds_of_work();
      maq_job_cancel(job);
      CHECK(seconds() - before < 0.05 || seconds_of_work() - work_before < 0.05 || slow());
      status = maq_job_wait(job, 60000);
      double after = seconds() - before;
      if (seconds_of_work() - work_before < after) after = seconds_of_work() - work_before;
      CHECK(status == MAQ_ERROR_CANCELLED || status == MAQ_OK);
      fastest = after < fastest ? after : fastest;
      char words[64];
      if (status == MAQ_ERROR_CANCELLED) CHECK(maq_job_error(job, words, sizeof words) && !strcmp(words, "cancelled"));
      CHECK(maq_job_poll(job, &progress) == status);
      maq_job_free(job);
      ++tries;
    }
    if (tries > 0) {
      printf("cancel in %s: %.0f ms\n", maq_stage_name(stage), fastest * 1000);
      CHECK(fastest <= 0.25 || slow());
      ++stages_reached;
    }
  }
  CHECK(stages_reached >= 4 || slow());
  maq_job_free(source);
  maq_context_free(context);
}

/* A job that waits ends at once, and the ones around it are not touched. */
static void cancel_before_start(void) {
  const maq_context context = new_context();
  const maq_job first = start(context, LONG), second = start(context, TINY), third = start(context, TINY);
  maq_job_cancel(second);
  CHECK(maq_job_poll(second, NULL) == MAQ_ERROR_CANCELLED);
  CHECK(maq_job_poll(first, NULL) == MAQ_PENDING && maq_job_poll(third, NULL) == MAQ_PENDING);
  maq_progress progress = SIZED(maq_progress);
  maq_job_poll(third, &progress);
  CHECK(progress.stage == MAQ_STAGE_QUEUED && progress.fraction == 0);
  const double before = seconds();
  CHECK(maq_job_wait(third, 30) == MAQ_PENDING && seconds() - before >= 0.029);
  CHECK(maq_job_wait(third, 0) == MAQ_PENDING);
  maq_job_cancel(first);
  maq_job_cancel(first);
  check_job_ok(third);
  CHECK(maq_job_wait(first, 0) == MAQ_ERROR_CANCELLED);
  maq_job_free(first), maq_job_free(second), maq_job_free(third);
  maq_context_free(context);
}

static void busy(void) {
  const maq_context context = new_context();
  maq_job jobs[400];
  maq_request request;
  maq_request_init(&request, sizeof request);
  request.picture = ball();
  request.recipe = LONG;
  size_t count = 0;
  maq_status status = MAQ_OK;
  while (count < 400 && (status = maq_job_start(context, &request, &jobs[count])) == MAQ_OK) ++count;
  CHECK(status == MAQ_ERROR_BUSY && count >= 256 && count <= 257);
  for (size_t k = 1; k < count; ++k) maq_job_cancel(jobs[k]);
  CHECK(maq_job_start(context, &request, &jobs[399]) == MAQ_OK);
  maq_job_free(jobs[399]);
  for (size_t k = 0; k < count; ++k) maq_job_free(jobs[k]);
  maq_context_free(context);
}

static long status_value(const char *key) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long value = -1;
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key) + 1);
  if (file != NULL) fclose(file);
  return value;
}

/* Bytes that malloc has given and not got back, over all its arenas. Exact when threads keep no freed blocks for later:
 * GLIBC_TUNABLES=glibc.malloc.tcache_count=0. */
static long bytes_in_use(void) {
  const struct mallinfo2 info = mallinfo2();
  return (long)(info.uordblks + info.hblkhd);
}

/* Jobs that are started and cancelled leave neither memory nor threads behind. */
static void rounds(void) {
  const int warm = slow() ? 5 : 20, count = slow() ? 20 : 200;
  /* Those of an earlier case may still be ending. */
  for (int k = 0; k < (slow() ? 60000 : 5000) && status_value("Threads:") > 1; ++k) pause_ms(1);
  const long threads = status_value("Threads:");
  long early = 0;
  for (int round = 0; round < warm + count; ++round) {
    const maq_context context = new_context();
    const maq_job job = start(context, LONG);
    pause_ms(round % 7 * 3);
    maq_job_cancel(job);
    CHECK(maq_job_wait(job, MAQ_FOREVER) == MAQ_ERROR_CANCELLED);
    maq_job_free(job);
    maq_context_free(context);
    for (int k = 0; k < (slow() ? 60000 : 5000) && status_value("Threads:") > threads; ++k) pause_ms(1);
    CHECK(status_value("Threads:") == threads);
    if (round == warm - 1) early = bytes_in_use();
  }
  const long late = bytes_in_use();
  printf("%d rounds: %ld bytes in use, then %ld; %ld kB resident\n", count, early, late, status_value("VmRSS:"));
  /* One request holds a picture of 36 kB. */
  CHECK(late - early < 16384);
}

static void *run_one_job(void *result) {
  const maq_context context = new_context();
  const maq_job job = start(context, TINY);
  check_job_ok(job);
  maq_mesh mesh = SIZED(maq_mesh);
  CHECK(maq_job_mesh(job, &mesh) == MAQ_OK);
  *(uint64_t *)result = mesh.vertex_count;
  maq_job_free(job);
  maq_context_free(context);
  return NULL;
}

static void two_contexts(void) {
  pthread_t threads[2];
  uint64_t vertices[2] = {0, 0};
  for (int k = 0; k < 2; ++k) CHECK(pthread_create(&threads[k], NULL, run_one_job, &vertices[k]) == 0);
  for (int k = 0; k < 2; ++k) CHECK(pthread_join(threads[k], NULL) == 0);
  CHECK(vertices[0] > 0 && vertices[0] == vertices[1]);
}

static maq_job shared_job;

static void *poll_until_freed(void *unused) {
  (void)unused;
  maq_progress progress = SIZED(maq_progress);
  float fraction = 0;
  maq_status status;
  while ((status = maq_job_poll(shared_job, &progress)) == MAQ_PENDING || status == MAQ_OK) {
    CHECK(progress.fraction >= fraction);
    fraction = progress.fraction;
    char words[64];
    maq_job_error(shared_job, words, sizeof words);
    maq_job_wait(shared_job, 1);
  }
  CHECK(status == MAQ_ERROR_INVALID_HANDLE || status == MAQ_ERROR_CANCELLED);
  return NULL;
}

/* Several threads poll and wait while another cancels or frees. */
static void many_threads(void) {
  const maq_context context = new_context();
  for (int round = 0; round < 6; ++round) {
    shared_job = start(context, round < 3 ? TINY : LONG);
    pthread_t threads[6];
    for (int k = 0; k < 6; ++k) CHECK(pthread_create(&threads[k], NULL, poll_until_freed, NULL) == 0);
    pause_ms(30 * (round % 3));
    if (round % 2) maq_job_cancel(shared_job);
    maq_job_free(shared_job);
    for (int k = 0; k < 6; ++k) CHECK(pthread_join(threads[k], NULL) == 0);
  }
  maq_context_free(context);
}

static void *use_registry(void *stop) {
  while (!*(volatile int *)stop) maq_context_free(new_context());
  return NULL;
}

/* Runs a function in a child; it must end well within a minute. */
static void in_child(void (*body)(maq_context, maq_job), maq_context context, maq_job job) {
  fflush(NULL);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(slow() ? 600 : 60);
    body(context, job);
    _exit(0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void child_of_fork(maq_context context, maq_job job) {
  CHECK_FAILS(maq_job_poll(job, NULL), MAQ_ERROR_INVALID_HANDLE, "before this process forked");
  CHECK_FAILS(maq_job_wait(job, MAQ_FOREVER), MAQ_ERROR_INVALID_HANDLE, "before this process forked");
  maq_job_cancel(job);
  maq_job_free(job);
  maq_context_free(context);
  maq_job other;
  maq_request request;
  maq_request_init(&request, sizeof request);
  CHECK_FAILS(maq_job_start(context, &request, &other), MAQ_ERROR_INVALID_HANDLE, "create a context in this process");
  uint64_t vertices = 0;
  run_one_job(&vertices);
  CHECK(vertices > 0);
}

/* Forks while idle, at work, and while another thread holds the registry's lock much of the time. */
static void forks(void) {
  uint64_t vertices = 0;
  run_one_job(&vertices);
  const maq_context context = new_context();
  const maq_job idle = start(context, TINY);
  check_job_ok(idle);
  in_child(child_of_fork, context, idle);
  const maq_job job = start(context, LONG);
  maq_progress progress = SIZED(maq_progress);
  while (maq_job_poll(job, &progress) == MAQ_PENDING && progress.stage < MAQ_STAGE_COARSE) pause_ms(1);
  in_child(child_of_fork, context, job);
  int stop = 0;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, use_registry, &stop) == 0);
  for (int k = 0; k < (slow() ? 1 : 10); ++k) in_child(child_of_fork, context, job);
  stop = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  maq_job_cancel(job);
  const maq_status status = maq_job_wait(job, MAQ_FOREVER);
  CHECK(status == MAQ_ERROR_CANCELLED || status == MAQ_OK);
  maq_job_free(job);
  maq_job_free(idle);
  maq_context_free(context);
}

static const struct {
  const char *name;
  void (*run)(void);
} CASES[] = {
    {"names", names},
    {"strings", strings},
    {"structs", structs},
    {"requests", requests},
    {"handles", handles},
    {"whole_job", whole_job},
    {"sdf", sdf},
    {"texture_from_picture", texture_from_picture},
    {"cancel_at_each_stage", cancel_at_each_stage},
    {"cancel_before_start", cancel_before_start},
    {"busy", busy},
    {"rounds", rounds},
    {"two_contexts", two_contexts},
    {"many_threads", many_threads},
    {"forks", forks},
};

int main(int argc, char **argv) {
  for (int k = 1; k < argc; ++k) {
    size_t at = 0;
    while (at < sizeof CASES / sizeof CASES[0] && strcmp(CASES[at].name, argv[k]) != 0) ++at;
    if (at == sizeof CASES / sizeof CASES[0]) {
      fprintf(stderr, "no case %s\n", argv[k]);
      return EXIT_FAILURE;
    }
    CASES[at].run();
    printf("%s holds\n", argv[k]);
    fflush(stdout);
  }
  return EXIT_SUCCESS;
}
