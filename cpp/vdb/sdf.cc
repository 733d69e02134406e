#include "vdb/sdf.h"

#include <openvdb/io/File.h>
#include <openvdb/openvdb.h>
#include <openvdb/tools/Dense.h>
#include <openvdb/tools/Interpolation.h>
#include <openvdb/tools/SignedFloodFill.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "maquette-vdb/src/bridge.rs.h"

namespace maquette::vdb {
namespace {

// Index space of a grid vertex to world space.
openvdb::math::Transform::Ptr transform_of(const Placement &placement) {
  auto transform = openvdb::math::Transform::createLinearTransform(placement.voxel);
  transform->postTranslate(openvdb::Vec3d(placement.origin[0], placement.origin[1], placement.origin[2]));
  return transform;
}

}  // namespace

void write_sdf(rust::Str path, rust::Slice<const float> values, std::uint32_t side, const Placement &placement,
               std::uint32_t band_voxels) {
  openvdb::initialize();
  const auto last = static_cast<openvdb::Int32>(side) - 1;
  const openvdb::CoordBBox bounds(openvdb::Coord(0), openvdb::Coord(last));
  // OpenVDB takes the array as mutable but copyFromDense only reads it.
  const openvdb::tools::Dense<float, openvdb::tools::LayoutZYX> dense(bounds, const_cast<float *>(values.data()));

  const auto band = static_cast<float>(placement.voxel * band_voxels);
  auto grid = openvdb::FloatGrid::create(band);
  grid->setTransform(transform_of(placement));
  grid->setGridClass(openvdb::GRID_LEVEL_SET);
  grid->setName("surface");
  openvdb::tools::copyFromDense(dense, *grid, 0.0f, /*serial=*/true);
  // Only the narrow band stays active; the rest is inside or outside.
  for (auto value = grid->beginValueOn(); value; ++value) {
    if (std::abs(*value) >= band) {
      value.setValue(std::copysign(band, *value));
      value.setValueOff();
    }
  }
  openvdb::tools::signedFloodFill(grid->tree(), /*threaded=*/false);
  grid->pruneGrid();

  openvdb::io::File file{std::string(path)};
  file.write(openvdb::GridCPtrVec{grid});
  file.close();
}

rust::Vec<float> read_sdf(rust::Str path, std::uint32_t side, const Placement &placement) {
  openvdb::initialize();
  openvdb::io::File file{std::string(path)};
  file.open();
  openvdb::FloatGrid::Ptr grid;
  const auto grids = file.getGrids();
  file.close();
  for (const auto &found : *grids) {
    if (found->getGridClass() != openvdb::GRID_LEVEL_SET) continue;
    if ((grid = openvdb::gridPtrCast<openvdb::FloatGrid>(found))) break;
  }
  if (!grid) throw std::runtime_error("has no level set of floats; convert the volume to a signed distance field");

  const auto transform = transform_of(placement);
  const openvdb::tools::GridSampler<openvdb::FloatGrid, openvdb::tools::BoxSampler> sampler(*grid);
  rust::Vec<float> values;
  values.reserve(std::size_t(side) * side * side);
  for (std::uint32_t i = 0; i < side; ++i)
    for (std::uint32_t j = 0; j < side; ++j)
      for (std::uint32_t k = 0; k < side; ++k)
        values.push_back(sampler.wsSample(transform->indexToWorld(openvdb::Vec3d(i, j, k))));
  return values;
}

}  // namespace maquette::vdb
