#include "cliplens/io/hdf5.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>
#include <utility>

#include <hdf5.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {
namespace {

constexpr Index kMaxChunkBytes = Index{1} << 28;
constexpr int kMaxDataSetAxes = 8;

// The library keeps global state.
std::mutex& LibraryMutex() {
  static std::mutex mutex;
  return mutex;
}

// An identifier of the library, closed at the end of its life.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  hid_t id() const { return id_; }
  bool good() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

}  // namespace

struct Hdf5File::State {
  std::string name;
  std::filesystem::path path;
  Handle file;

  [[noreturn]] void Refuse(const std::string& what, const char* problem) const {
    throw Error(ErrorCode::kCorruptData, "{}: {}: {}; fetch the file again", name,
                Printable(what, 200), problem);
  }

  // `path` is "/a/b"; every step is a link inside of the file.
  Handle OpenByPath(const std::string& dataset) const {
    for (std::size_t end = dataset.find('/', 1);; end = dataset.find('/', end + 1)) {
      const std::string part = dataset.substr(0, end);
      H5L_info_t info;
      if (H5Lexists(file.id(), part.c_str(), H5P_DEFAULT) <= 0 ||
          H5Lget_info(file.id(), part.c_str(), &info, H5P_DEFAULT) < 0) {
        throw Error(ErrorCode::kNotFound,
                    "{}: has no {} (looked for {}); it is another kind of file, or cut off", name,
                    Printable(part, 200), Printable(dataset, 200));
      }
      if (info.type != H5L_TYPE_HARD) Refuse(part, "is a link that may lead elsewhere");
      if (end == std::string::npos) break;
    }
    Handle opened(H5Dopen2(file.id(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
    if (!opened.good()) Refuse(dataset, "is no data set that can be opened");
    return opened;
  }

  Handle OpenByReference(Hdf5Reference reference) const {
    const std::string what = Describe(reference);
    hobj_ref_t address = reference.address;
    H5O_type_t type;
    if (H5Rget_obj_type2(file.id(), H5R_OBJECT, &address, &type) < 0) {
      Refuse(what, "leads to nothing in the file");
    }
    if (type != H5O_TYPE_DATASET) Refuse(what, "leads to something that is no data set");
    Handle opened(H5Rdereference2(file.id(), H5P_DEFAULT, H5R_OBJECT, &address), H5Dclose);
    if (!opened.good()) Refuse(what, "leads to a data set that cannot be opened");
    return opened;
  }

  static std::string Describe(Hdf5Reference reference) {
    return fmt::format("the reference to byte {}", reference.address);
  }

  // The shape of a data set whose values all lie in this file and that are at most `max_values`.
  std::vector<Index> Shape(const Handle& dataset, const std::string& what, Index max_values) const {
    const Handle space(H5Dget_space(dataset.id()), H5Sclose);
    const int axes = space.good() ? H5Sget_simple_extent_ndims(space.id()) : -1;
    if (axes < 1 || axes > kMaxDataSetAxes) Refuse(what, "has no shape of 1 to 8 axes");
    std::array<hsize_t, kMaxDataSetAxes> sizes = {};
    H5Sget_simple_extent_dims(space.id(), sizes.data(), nullptr);
    std::vector<Index> shape;
    Index values = 1;
    for (int a = 0; a < axes; ++a) {
      const hsize_t size = At(sizes, a);
      if (size > static_cast<hsize_t>(max_values) ||
          values * static_cast<Index>(size) > max_values) {
        throw Error(ErrorCode::kExhausted,
                    "{}: {}: claims {} values along axis {}, at most {} in all are read", name,
                    what, size, a, max_values);
      }
      values *= static_cast<Index>(size);
      shape.push_back(static_cast<Index>(size));
    }
    CheckStorage(dataset, what, axes, values);
    return shape;
  }

  void CheckStorage(const Handle& dataset, const std::string& what, int axes, Index values) const {
    const Handle list(H5Dget_create_plist(dataset.id()), H5Pclose);
    const H5D_layout_t layout = list.good() ? H5Pget_layout(list.id()) : H5D_LAYOUT_ERROR;
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) {
      Refuse(what, "keeps its values in no way that is read");
    }
    if (H5Pget_external_count(list.id()) != 0) Refuse(what, "keeps its values in other files");
    const Handle type(H5Dget_type(dataset.id()), H5Tclose);
    const std::size_t width = type.good() ? H5Tget_size(type.id()) : 0;
    if (width == 0 || width > 8) Refuse(what, "has values of no type that is read");
    if (layout == H5D_CHUNKED) {
      std::array<hsize_t, kMaxDataSetAxes> chunk = {};
      if (H5Pget_chunk(list.id(), axes, chunk.data()) != axes) Refuse(what, "has broken chunks");
      Index bytes = static_cast<Index>(width);
      for (int a = 0; a < axes; ++a) {
        const hsize_t size = At(chunk, a);
        if (size == 0 || size > static_cast<hsize_t>(kMaxChunkBytes) ||
            bytes * static_cast<Index>(size) > kMaxChunkBytes) {
          Refuse(what, "has chunks of an absurd size");
        }
        bytes *= static_cast<Index>(size);
      }
    }
    // Deflate, the one filter that MATLAB uses, shrinks 1,032 times at most.
    const hsize_t most = H5Dget_storage_size(dataset.id()) * (layout == H5D_CHUNKED ? 1032 : 1);
    if (most < static_cast<hsize_t>(values) * width) {
      Refuse(what, "has fewer bytes than its shape asks for");
    }
  }

  std::vector<Hdf5Reference> References(const Handle& dataset, const std::string& what,
                                        Index max_values) const {
    const Handle type(H5Dget_type(dataset.id()), H5Tclose);
    if (H5Tget_class(type.id()) != H5T_REFERENCE || H5Tequal(type.id(), H5T_STD_REF_OBJ) <= 0) {
      Refuse(what, "holds no references to objects");
    }
    Index values = 1;
    for (const Index size : Shape(dataset, what, max_values)) values *= size;
    std::vector<hobj_ref_t> addresses(ToSize(values));
    if (values > 0 && H5Dread(dataset.id(), H5T_STD_REF_OBJ, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                              addresses.data()) < 0) {
      Refuse(what, "cannot be read");
    }
    std::vector<Hdf5Reference> references;
    references.reserve(addresses.size());
    for (const hobj_ref_t address : addresses) references.push_back({address});
    return references;
  }
};

Hdf5File::Hdf5File(const std::filesystem::path& path) {
  const std::string name = PathText(path);
  {
    // The library would wait for a pipe, and says little of a file that is not HDF5.
    const RandomAccessFile opened(path);
    constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
    const auto size = static_cast<Index>(kSignature.size());
    bool found = false;
    for (Index at = 0; at <= opened.size() - size && !found; at = at == 0 ? 512 : 2 * at) {
      std::array<std::uint8_t, kSignature.size()> bytes;
      opened.Read(at, bytes);
      found = std::ranges::equal(bytes, AsBytes(kSignature));
    }
    const std::vector<std::uint8_t> start = opened.ReadStart(16);
    const std::string_view bytes(reinterpret_cast<const char*>(start.data()), start.size());
    if (!found) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: is no HDF5 file{}; a MATLAB file of version 7.3 is wanted", name,
                  bytes.starts_with("MATLAB 5.0") ? " but a MATLAB file of version 5" : "");
    }
  }
  const std::scoped_lock lock(LibraryMutex());
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.good()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: is an HDF5 file that cannot be opened (cut off, or broken); fetch it again",
                name);
  }
  state_ = std::make_unique<State>(State{name, path, std::move(file)});
}

Hdf5File::~Hdf5File() {
  const std::scoped_lock lock(LibraryMutex());
  state_.reset();
}

std::vector<Hdf5Reference> Hdf5File::ReadReferences(const std::string& dataset,
                                                    Index max_values) const {
  const std::scoped_lock lock(LibraryMutex());
  return state_->References(state_->OpenByPath(dataset), dataset, max_values);
}

std::vector<Hdf5Reference> Hdf5File::ReadReferences(Hdf5Reference dataset, Index max_values) const {
  const std::scoped_lock lock(LibraryMutex());
  return state_->References(state_->OpenByReference(dataset), State::Describe(dataset), max_values);
}

Hdf5Bytes Hdf5File::ReadBytes(Hdf5Reference dataset, Index max_values) const {
  const std::scoped_lock lock(LibraryMutex());
  const std::string what = State::Describe(dataset);
  const Handle opened = state_->OpenByReference(dataset);
  const Handle type(H5Dget_type(opened.id()), H5Tclose);
  const H5T_class_t type_class = H5Tget_class(type.id());
  if (type_class != H5T_INTEGER && type_class != H5T_FLOAT) {
    state_->Refuse(what, "leads to a data set that holds no numbers");
  }
  Hdf5Bytes bytes;
  bytes.shape = state_->Shape(opened, what, max_values);
  Index values = 1;
  for (const Index size : bytes.shape) values *= size;
  bytes.values.resize(ToSize(values));
  if (values > 0 && H5Dread(opened.id(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                            bytes.values.data()) < 0) {
    state_->Refuse(what, "leads to a data set that cannot be read");
  }
  return bytes;
}

}  // namespace cliplens
