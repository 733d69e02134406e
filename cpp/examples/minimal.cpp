// One picture in, one mesh file out, in C++17; then the same mesh with a new texture from its own, painted-over views.
//
//   c++ -std=c++17 -I cpp/include cpp/examples/minimal.cpp -L target/release -lmaquette -o minimal
//   LD_LIBRARY_PATH=target/release ./minimal examples/rocket.png rocket.glb red-rocket.glb '{"preset": "draft"}'
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "maquette.hpp"

namespace {

void show(const maquette::Job &job) {
  while (!job.wait_for(std::chrono::milliseconds(100))) {
    const maq_progress progress = job.progress();
    std::fprintf(stderr, "\r%-8s %3.0f %%", maq_stage_name(progress.stage), double(progress.fraction) * 100.0);
  }
  std::fprintf(stderr, "\n");
  job.wait();
}

void generate_and_paint(const std::string &picture, const std::string &plain, const std::string &painted,
                        const std::string &recipe) {
  const maquette::Context context;
  const maquette::Job first = context.start(maquette::Request().picture_path(picture).recipe(recipe));
  show(first);
  first.save(plain);
  const maquette::MeshView mesh = first.mesh();
  std::printf("%s: %zu vertices, %zu triangles\n", plain.c_str(), mesh.vertex_count(), mesh.triangle_count());

  std::vector<maquette::PosedView> views = first.views();
  std::vector<std::vector<std::uint8_t>> paint;
  for (maquette::PosedView &view : views) {
    paint.emplace_back(view.color.rgba.begin(), view.color.rgba.end());
    for (std::size_t pixel = 0; pixel < paint.back().size(); pixel += 4) paint.back()[pixel] = 255;
    view.color = maquette::ImageView(view.color.width, view.color.height, paint.back().data());
  }
  // A mesh and views of it: the mesh keeps its vertices and texture coordinates and gets a new texture.
  const maquette::Job second = context.start(maquette::Request().mesh(mesh).views(views).recipe(recipe));
  show(second);
  second.save(painted);
  std::printf("%s: %zu views\n", painted.c_str(), views.size());
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: minimal PICTURE OUTPUT.glb PAINTED.glb [RECIPE-JSON]\n");
    return 1;
  }
  try {
    generate_and_paint(argv[1], argv[2], argv[3], argc > 4 ? argv[4] : "{}");
  } catch (const std::exception &error) {
    std::fprintf(stderr, "minimal: %s\n", error.what());
    return 1;
  }
  return 0;
}
