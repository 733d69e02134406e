// maquette.hpp - maquette.h for C++17: handles that free themselves, exceptions, spans. Header only.
//
//   maquette::Context context;
//   maquette::Job job = context.start(maquette::Request().picture_path("photo.png").recipe(R"({"seed": 7})"));
//   while (!job.wait_for(std::chrono::milliseconds(100))) show(job.progress());
//   job.save("photo.glb");  // throws maquette::Error with the reason and the remedy when the job failed
//
// What each call does, and its threads and lifetimes, is said in maquette.h. Spans and views borrow from their Job.
#ifndef MAQUETTE_HPP
#define MAQUETTE_HPP

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "maquette.h"

namespace maquette {

// A call or a job that failed.
class Error : public std::runtime_error {
 public:
  Error(maq_status status, const std::string &reason) : std::runtime_error(reason), status_(status) {}
  maq_status status() const noexcept { return status_; }
  bool cancelled() const noexcept { return status_ == MAQ_ERROR_CANCELLED; }

 private:
  maq_status status_;
};

// A borrowed array. std::span for C++17.
template <typename T>
class Span {
 public:
  Span() = default;
  Span(const T *data, std::size_t size) : data_(data), size_(data == nullptr ? 0 : size) {}
  const T *data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const T *begin() const noexcept { return data_; }
  const T *end() const noexcept { return data_ + size_; }
  const T &operator[](std::size_t index) const { return data_[index]; }

 private:
  const T *data_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {

// Text of a function with the two-call protocol; empty when it failed.
template <typename Function>
std::string text(Function function) {
  std::string text(function(nullptr, std::size_t{0}), '\0');
  // The text may have changed between the calls.
  while (!text.empty()) {
    const std::size_t needed = function(&text[0], text.size());
    const bool whole = needed <= text.size();
    text.resize(needed);
    if (whole) break;
  }
  if (!text.empty()) text.pop_back();
  return text;
}

inline std::string last_error() {
  return text([](char *buffer, std::size_t capacity) { return maq_last_error(buffer, capacity); });
}

inline void check(maq_status status) {
  if (status != MAQ_OK) throw Error(status, last_error());
}

// As text, where an empty answer is an error.
template <typename Function>
std::string required_text(Function function) {
  std::string found = text(function);
  if (found.empty()) throw Error(MAQ_ERROR_INVALID_ARGUMENT, last_error());
  return found;
}

template <typename Struct>
Struct sized() {
  Struct value{};
  value.struct_size = sizeof(Struct);
  return value;
}

}  // namespace detail

// 8-bit sRGB with straight alpha, row 0 on top. Borrowed.
struct ImageView {
  std::uint32_t width = 0, height = 0;
  Span<std::uint8_t> rgba;  // [height][width][4]

  ImageView() = default;
  ImageView(std::uint32_t width_px, std::uint32_t height_px, const std::uint8_t *pixels)
      : width(width_px), height(height_px), rgba(pixels, std::size_t{4} * width_px * height_px) {}
  explicit ImageView(const maq_image &image) : ImageView(image.width, image.height, image.rgba) {}

  maq_image raw() const {
    maq_image image = detail::sized<maq_image>();
    image.width = width;
    image.height = height;
    image.rgba = rgba.data();
    return image;
  }
};

// Right-handed, +Y up, front +Z, metres; triangles counter-clockwise. Borrowed.
struct MeshView {
  Span<float> positions;          // [vertices][3]
  Span<float> normals;            // [vertices][3], or empty
  Span<std::uint32_t> triangles;  // [triangles][3]
  Span<float> corner_uvs;         // [triangles][3][2], or empty; origin bottom-left

  MeshView() = default;
  explicit MeshView(const maq_mesh &mesh)
      : positions(mesh.positions, std::size_t(mesh.vertex_count) * 3),
        normals(mesh.normals, std::size_t(mesh.vertex_count) * 3),
        triangles(mesh.triangles, std::size_t(mesh.triangle_count) * 3),
        corner_uvs(mesh.corner_uvs, std::size_t(mesh.triangle_count) * 6) {}

  std::size_t vertex_count() const noexcept { return positions.size() / 3; }
  std::size_t triangle_count() const noexcept { return triangles.size() / 3; }

  maq_mesh raw() const {
    maq_mesh mesh = detail::sized<maq_mesh>();
    mesh.vertex_count = vertex_count();
    mesh.triangle_count = triangle_count();
    mesh.positions = positions.data();
    mesh.normals = normals.data();
    mesh.triangles = triangles.data();
    mesh.corner_uvs = corner_uvs.data();
    return mesh;
  }
};

// A posed picture. Borrowed.
struct PosedView {
  float azimuth_degrees = 0, elevation_degrees = 0;
  ImageView color;
  std::optional<ImageView> normal;   // in world space
  std::optional<maq_camera> camera;  // without one: the angles above

  PosedView() = default;
  PosedView(float azimuth, float elevation, ImageView picture)
      : azimuth_degrees(azimuth), elevation_degrees(elevation), color(picture) {}
  explicit PosedView(const maq_view &view)
      : azimuth_degrees(view.azimuth_degrees), elevation_degrees(view.elevation_degrees), color(*view.color) {
    if (view.normal != nullptr) normal.emplace(*view.normal);
    if (view.camera != nullptr) camera = *view.camera;
  }
};

// What to do and with what. Keeps its strings; images and meshes are borrowed until Context::start returns.
class Request {
 public:
  Request &picture(ImageView picture) { return picture_ = picture, *this; }
  Request &picture_path(std::string path) { return picture_path_ = std::move(path), *this; }
  Request &views(std::vector<PosedView> views) { return views_ = std::move(views), *this; }
  Request &views_path(std::string path) { return views_path_ = std::move(path), *this; }
  Request &mesh(MeshView mesh) { return mesh_ = mesh, *this; }
  Request &mesh_path(std::string path) { return mesh_path_ = std::move(path), *this; }
  Request &recipe(std::string json) { return recipe_ = std::move(json), *this; }
  Request &name(std::string name) { return name_ = std::move(name), *this; }

 private:
  friend class Context;

  static const char *raw(const std::optional<std::string> &text) { return text ? text->c_str() : nullptr; }

  std::optional<ImageView> picture_;
  std::optional<MeshView> mesh_;
  std::vector<PosedView> views_;
  std::optional<std::string> picture_path_, views_path_, mesh_path_, recipe_, name_;
};

// One job; its destructor cancels it. Move only.
class Job {
 public:
  explicit Job(maq_job handle) noexcept : handle_(handle) {}
  Job(Job &&other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  Job &operator=(Job &&other) noexcept {
    if (this != &other) {
      maq_job_free(handle_);
      handle_ = std::exchange(other.handle_, 0);
    }
    return *this;
  }
  Job(const Job &) = delete;
  Job &operator=(const Job &) = delete;
  ~Job() { maq_job_free(handle_); }

  maq_job handle() const noexcept { return handle_; }

  maq_progress progress() const {
    maq_progress progress = detail::sized<maq_progress>();
    const maq_status status = maq_job_poll(handle_, &progress);
    if (status == MAQ_ERROR_INVALID_HANDLE) throw Error(status, detail::last_error());
    return progress;
  }
  bool done() const { return maq_job_poll(handle_, nullptr) != MAQ_PENDING; }
  // True when the job has ended, well or not.
  bool wait_for(std::chrono::milliseconds timeout) const {
    const auto limit = static_cast<long long>(MAQ_FOREVER) - 1;
    const auto count = timeout.count() < 0 ? 0 : timeout.count() > limit ? limit : timeout.count();
    return maq_job_wait(handle_, static_cast<std::uint32_t>(count)) != MAQ_PENDING;
  }
  // Waits for the end; throws what the job failed with.
  void wait() const { check_job(maq_job_wait(handle_, MAQ_FOREVER)); }
  void cancel() const noexcept { maq_job_cancel(handle_); }

  // The newest mesh of a job at work, if there is one; borrowed until the next call.
  std::optional<MeshView> preview() const {
    maq_mesh mesh = detail::sized<maq_mesh>();
    const maq_status status = maq_job_preview(handle_, &mesh);
    if (status == MAQ_PENDING) return std::nullopt;
    detail::check(status);
    return MeshView(mesh);
  }
  MeshView mesh() const {
    maq_mesh mesh = detail::sized<maq_mesh>();
    check_job(maq_job_mesh(handle_, &mesh));
    return MeshView(mesh);
  }
  // Throws when the job has no image of this kind.
  ImageView image(maq_image_kind kind) const {
    maq_image image = detail::sized<maq_image>();
    check_job(maq_job_image(handle_, kind, &image));
    return ImageView(image);
  }
  std::vector<PosedView> views() const {
    std::uint32_t count = 0;
    check_job(maq_job_view_count(handle_, &count));
    std::vector<PosedView> views;
    views.reserve(count);
    for (std::uint32_t index = 0; index < count; ++index) {
      maq_view view = detail::sized<maq_view>();
      check_job(maq_job_view(handle_, index, &view));
      views.emplace_back(view);
    }
    return views;
  }
  // JSON.
  std::string report() const {
    check_job(maq_job_poll(handle_, nullptr));
    return detail::required_text([this](char *buffer, std::size_t size) { return maq_job_report(handle_, buffer, size); });
  }
  void save(const std::string &path) const { check_job(maq_job_save(handle_, path.c_str())); }
  void save_image(maq_image_kind kind, const std::string &path) const {
    check_job(maq_job_save_image(handle_, kind, path.c_str()));
  }

 private:
  void check_job(maq_status status) const {
    if (status == MAQ_OK) return;
    if (status == MAQ_PENDING) throw Error(status, "the job has not ended; wait for it first");
    // The words of a job that failed lie with the job, those of a call that failed with the thread.
    if (maq_job_poll(handle_, nullptr) == status) {
      throw Error(status, detail::text([this](char *buffer, std::size_t size) {
                    return maq_job_error(handle_, buffer, size);
                  }));
    }
    throw Error(status, detail::last_error());
  }

  maq_job handle_ = 0;
};

// A device and a queue of jobs. Move only; its destructor leaves its jobs at work.
class Context {
 public:
  explicit Context(std::uint32_t device_index = 0, std::uint32_t threads = 0,
                   const std::optional<std::string> &cache_dir = std::nullopt) {
    maq_context_config config;
    detail::check(maq_context_config_init(&config, sizeof config));
    config.device_index = device_index;
    config.threads = threads;
    config.cache_dir = cache_dir ? cache_dir->c_str() : nullptr;
    detail::check(maq_context_new(MAQ_ABI, &config, &handle_));
  }
  Context(Context &&other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  Context &operator=(Context &&other) noexcept {
    if (this != &other) {
      maq_context_free(handle_);
      handle_ = std::exchange(other.handle_, 0);
    }
    return *this;
  }
  Context(const Context &) = delete;
  Context &operator=(const Context &) = delete;
  ~Context() { maq_context_free(handle_); }

  maq_context handle() const noexcept { return handle_; }

  Job start(const Request &given) const {
    maq_request request;
    detail::check(maq_request_init(&request, sizeof request));
    maq_image picture{};
    if (given.picture_) {
      picture = given.picture_->raw();
      request.picture = &picture;
    }
    maq_mesh mesh{};
    if (given.mesh_) {
      mesh = given.mesh_->raw();
      request.mesh = &mesh;
    }
    std::vector<maq_image> colors, normals;
    std::vector<maq_view> views;
    colors.reserve(given.views_.size());
    normals.reserve(given.views_.size());
    views.reserve(given.views_.size());
    for (const PosedView &posed : given.views_) {
      maq_view view = detail::sized<maq_view>();
      view.azimuth_degrees = posed.azimuth_degrees;
      view.elevation_degrees = posed.elevation_degrees;
      colors.push_back(posed.color.raw());
      view.color = &colors.back();
      if (posed.normal) {
        normals.push_back(posed.normal->raw());
        view.normal = &normals.back();
      }
      view.camera = posed.camera ? &*posed.camera : nullptr;
      views.push_back(view);
    }
    request.view_count = static_cast<std::uint32_t>(views.size());
    request.views = views.empty() ? nullptr : views.data();
    request.recipe = Request::raw(given.recipe_);
    request.name = Request::raw(given.name_);
    request.picture_path = Request::raw(given.picture_path_);
    request.views_path = Request::raw(given.views_path_);
    request.mesh_path = Request::raw(given.mesh_path_);
    maq_job job = 0;
    detail::check(maq_job_start(handle_, &request, &job));
    return Job(job);
  }

 private:
  maq_context handle_ = 0;
};

inline std::vector<maq_device_info> devices() {
  std::uint32_t count = 0;
  detail::check(maq_device_count(&count));
  std::vector<maq_device_info> devices(count, detail::sized<maq_device_info>());
  for (std::uint32_t index = 0; index < count; ++index) detail::check(maq_device_get(index, &devices[index]));
  return devices;
}

// The whole recipe, as JSON, that a partial one stands for.
inline std::string resolve_recipe(const std::string &json = "{}") {
  return detail::required_text(
      [&json](char *buffer, std::size_t size) { return maq_recipe_resolve(json.c_str(), buffer, size); });
}

inline std::string recipe_schema() {
  return detail::required_text([](char *buffer, std::size_t size) { return maq_recipe_schema(buffer, size); });
}

// (resolution + 1)^3 distances in metres over the cube from -0.5 to 0.5, x fastest, negative inside.
inline std::vector<float> signed_distances(const MeshView &mesh, std::uint32_t resolution,
                                           float reach = std::numeric_limits<float>::infinity()) {
  const std::size_t side = std::size_t{resolution} + 1;
  std::vector<float> distances(resolution <= 256 ? side * side * side : 0);
  const maq_mesh raw = mesh.raw();
  detail::check(maq_mesh_sdf(&raw, resolution, reach, distances.data(), distances.size()));
  return distances;
}

}  // namespace maquette
#endif
