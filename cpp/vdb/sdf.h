// Signed distance fields in OpenVDB files, for rust/vdb. Errors are C++ exceptions, which the bridge turns into Rust errors.
#pragma once

#include <array>
#include <cstdint>

#include "rust/cxx.h"

namespace maquette::vdb {

struct Placement;

// Writes a level set named "surface". `values` holds side^3 distances in world units, the last axis fastest.
void write_sdf(rust::Str path, rust::Slice<const float> values, std::uint32_t side, const Placement &placement,
               std::uint32_t band_voxels);

// Samples the first level set of a file at side^3 points. Beyond the file's narrow band the distance stays that of its edge.
rust::Vec<float> read_sdf(rust::Str path, std::uint32_t side, const Placement &placement);

}  // namespace maquette::vdb
