// maquette.hpp as a C++ host uses it. Run by rust/capi/tests/hosts.rs; exit status 0 when all holds.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "maquette.hpp"

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                       \
    }                                                                     \
  } while (0)

static_assert(!std::is_copy_constructible_v<maquette::Job> && !std::is_copy_assignable_v<maquette::Job>);
static_assert(std::is_nothrow_move_constructible_v<maquette::Job> && std::is_nothrow_move_assignable_v<maquette::Job>);
static_assert(!std::is_copy_constructible_v<maquette::Context> && std::is_nothrow_move_constructible_v<maquette::Context>);

namespace {

// The status that a call throws, and that its words hold a text; MAQ_OK when it throws nothing.
template <typename Call>
maq_status thrown(const std::string &text, Call call) {
  try {
    call();
  } catch (const maquette::Error &error) {
    if (std::string(error.what()).find(text) == std::string::npos) std::fprintf(stderr, "words: %s\n", error.what());
    CHECK(std::string(error.what()).find(text) != std::string::npos);
    return error.status();
  }
  return MAQ_OK;
}

const char *const kTiny =
    R"({"preset": "draft", "views": {"size_px": 64}, "coarse": {"resolution": 16, "iterations": 3, "view_size_px": 32},
        "refine": {"iterations": 1, "view_size_px": 32}, "texture": {"cell": 0.02, "footprint_samples": 1, "iterations": 5},
        "bake": {"texture_size": 64}, "finish": {"triangles": 300}})";

std::vector<std::uint8_t> disc(std::uint32_t side) {
  std::vector<std::uint8_t> rgba;
  for (std::uint32_t row = 0; row < side; ++row)
    for (std::uint32_t column = 0; column < side; ++column) {
      const double x = (column + 0.5) / side * 2 - 1, y = (row + 0.5) / side * 2 - 1;
      rgba.insert(rgba.end(), {200, 120, 40, std::uint8_t(x * x + y * y < 0.7 ? 255 : 0)});
    }
  return rgba;
}

}  // namespace

int main() {
  CHECK(!maquette::devices().empty() && maquette::devices()[0].kind == MAQ_DEVICE_CPU);
  CHECK(maquette::resolve_recipe(R"({"seed": 3})").find("\"seed\":3") != std::string::npos);
  CHECK(maquette::recipe_schema().size() > 1000);
  CHECK(thrown("did you mean seed?", [] { maquette::resolve_recipe(R"({"sede": 3})"); }) == MAQ_ERROR_INVALID_ARGUMENT);
  CHECK(thrown("no device 9", [] { maquette::Context(9); }) == MAQ_ERROR_NO_DEVICE);

  const std::vector<std::uint8_t> pixels = disc(96);
  const maquette::ImageView picture(96, 96, pixels.data());
  maquette::Context context(0, 2, "");
  maquette::Context moved = std::move(context);
  CHECK(context.handle() == 0 && moved.handle() != 0);
  CHECK(thrown("0 is never a handle", [&] { context.start(maquette::Request().picture(picture)); }) ==
        MAQ_ERROR_INVALID_HANDLE);

  maquette::Job job = moved.start(maquette::Request().picture(picture).recipe(kTiny).name("disc"));
  const maq_job handle = job.handle();
  maquette::Job same = std::move(job);
  CHECK(job.handle() == 0 && same.handle() == handle);
  CHECK(thrown("has not ended", [&] {
          const maquette::Job late = moved.start(maquette::Request().picture(picture));
          late.mesh();
        }) == MAQ_PENDING);
  while (!same.wait_for(std::chrono::milliseconds(5))) CHECK(same.progress().fraction < 1.0f);
  same.wait();
  CHECK(same.done() && same.progress().fraction == 1.0f);
  const maquette::MeshView mesh = same.mesh();
  CHECK(mesh.vertex_count() > 3 && mesh.triangle_count() > 3 && mesh.normals.size() == mesh.positions.size());
  for (const std::uint32_t index : mesh.triangles) CHECK(index < mesh.vertex_count());
  CHECK(mesh.corner_uvs.size() == mesh.triangle_count() * 6);
  CHECK(same.image(MAQ_IMAGE_BASE_COLOR).width >= 64 && same.report().front() == '{');
  CHECK(thrown("kind is 99", [&] { same.image(99); }) == MAQ_ERROR_INVALID_ARGUMENT);
  CHECK(thrown("/nowhere", [&] { same.save("/nowhere/disc.glb"); }) == MAQ_ERROR_IO);

  const maquette::Job textured = moved.start(maquette::Request().mesh(mesh).views(same.views()).recipe(kTiny));
  textured.wait();
  CHECK(textured.mesh().triangle_count() == mesh.triangle_count());

  maquette::Job failing = moved.start(maquette::Request().picture_path("/nowhere/photo.png"));
  CHECK(thrown("/nowhere/photo.png", [&] { failing.wait(); }) == MAQ_ERROR_IO);
  CHECK(thrown("/nowhere/photo.png", [&] { failing.mesh(); }) == MAQ_ERROR_IO);
  failing = moved.start(maquette::Request().picture(picture));
  failing.cancel();
  CHECK(thrown("cancelled", [&] { failing.wait(); }) == MAQ_ERROR_CANCELLED);
  // Assigning and destroying free the handle.
  const maq_job last = failing.handle();
  failing = maquette::Job(0);
  CHECK(maq_job_poll(last, nullptr) == MAQ_ERROR_INVALID_HANDLE);
  return 0;
}
