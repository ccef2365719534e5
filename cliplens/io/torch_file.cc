#include "cliplens/io/torch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/pickle.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/zip.h"

namespace cliplens {
namespace {

constexpr Index kMaxPickleBytes = Index{64} << 20;
constexpr Index kMaxTensors = Index{1} << 16;
constexpr Index kMaxVisited = 4'000'000;
constexpr int kMaxTorchDepth = 64;
constexpr std::size_t kMaxTensorName = 1024;
constexpr std::size_t kMaxAxes = 32;

struct StorageName {
  std::string_view name;
  DataType type;
};

// The storages of one type; what an untyped one holds is said by its tensor.
constexpr StorageName kStorages[] = {
    {"torch.DoubleStorage", DataType::kF64},
    {"torch.FloatStorage", DataType::kF32},
    {"torch.HalfStorage", DataType::kF16},
    {"torch.BFloat16Storage", DataType::kBF16},
    {"torch.LongStorage", DataType::kI64},
    {"torch.IntStorage", DataType::kI32},
    {"torch.ShortStorage", DataType::kI16},
    {"torch.CharStorage", DataType::kI8},
    {"torch.ByteStorage", DataType::kU8},
    {"torch.BoolStorage", DataType::kBool},
    {"torch.storage.UntypedStorage", DataType::kU8},
    {"torch.UntypedStorage", DataType::kU8},
};

constexpr StorageName kTorchTypes[] = {
    {"torch.float64", DataType::kF64}, {"torch.float32", DataType::kF32},
    {"torch.float16", DataType::kF16}, {"torch.bfloat16", DataType::kBF16},
    {"torch.int64", DataType::kI64},   {"torch.int32", DataType::kI32},
    {"torch.int16", DataType::kI16},   {"torch.int8", DataType::kI8},
    {"torch.uint8", DataType::kU8},    {"torch.bool", DataType::kBool},
};

const StorageName* Find(std::span<const StorageName> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &StorageName::name);
  return found == table.end() ? nullptr : &*found;
}

constexpr std::string_view kRebuildTensor[] = {"torch._utils._rebuild_tensor",
                                               "torch._utils._rebuild_tensor_v2",
                                               "torch._utils._rebuild_tensor_v3"};
// Their first argument is the tensor.
constexpr std::string_view kRebuildParameter[] = {"torch._utils._rebuild_parameter",
                                                  "torch._utils._rebuild_parameter_with_state"};
// Calls its first argument with its third.
constexpr std::string_view kRebuildFromType = "torch._tensor._rebuild_from_type_v2";

// What training checkpoints hold beside tensors: plain values that are noted and passed over.
constexpr std::string_view kPlain[] = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "builtins.dict",
    "__builtin__.dict",
    "builtins.list",
    "__builtin__.list",
    "builtins.set",
    "__builtin__.set",
    "builtins.frozenset",
    "__builtin__.frozenset",
    "builtins.int",
    "__builtin__.int",
    "builtins.float",
    "__builtin__.float",
    "builtins.bool",
    "__builtin__.bool",
    "builtins.complex",
    "builtins.bytearray",
    "builtins.slice",
    "_codecs.encode",
    "torch.Size",
    "torch.device",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.strided",
    "torch.complex64",
    "torch.complex128",
    "torch.serialization._get_layout",
    "torch.jit._pickle.build_intlist",
    "torch.jit._pickle.build_doublelist",
    "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.restore_type_tag",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "numpy.ndarray",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "datetime.datetime",
    "datetime.timedelta",
};

constexpr std::string_view kModulePrefix = "__torch__.";

bool Contains(std::span<const std::string_view> table, std::string_view name) {
  return std::ranges::find(table, name) != table.end();
}

bool KnownName(std::string_view name) {
  return Find(kStorages, name) != nullptr || Find(kTorchTypes, name) != nullptr ||
         Contains(kRebuildTensor, name) || Contains(kRebuildParameter, name) ||
         name == kRebuildFromType || Contains(kPlain, name) || name.starts_with(kModulePrefix);
}

struct Storage {
  std::string key;
  DataType type = DataType::kF32;  // of its elements as the pickle says
  Index bytes = 0;                 // as the pickle says
  Index offset = 0;                // a view of an older file: bytes from the storage's start
};

// A tensor as a view of a storage.
struct View {
  Storage storage;
  DataType type = DataType::kF32;
  std::vector<Index> shape;
  std::vector<Index> strides;  // in elements
  Index offset = 0;            // in elements
  Index count = 1;             // elements
  Index extent = 0;            // elements from the first to behind the last, 0 for none

  bool IsContiguous() const {
    Index step = 1;
    for (std::size_t i = shape.size(); i > 0; --i) {
      if (shape[i - 1] != 1 && strides[i - 1] != step) return false;
      step *= shape[i - 1];
    }
    return true;
  }
};

// Bytes of storages, wherever the kind of file keeps them.
class StorageReader {
 public:
  StorageReader() = default;
  virtual ~StorageReader() = default;
  StorageReader(const StorageReader&) = delete;
  StorageReader& operator=(const StorageReader&) = delete;
  // The true size of a storage in bytes, or -1 if there is none of that key.
  virtual Index SizeOfStorage(const std::string& key) const = 0;
  virtual std::vector<std::uint8_t> Read(const std::string& key, Index offset,
                                         Index count) const = 0;
};

// From a pickle's records to named views.
class Collector {
 public:
  Collector(const Pickle& pickle, const std::string& name, const StorageReader* storages)
      : pickle_(pickle), name_(name), storages_(storages) {}

  std::map<std::string, View> Collect() {
    Walk(pickle_.root, "", 0);
    return std::move(views_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void Corrupt(const std::string& tensor, fmt::format_string<Args...> format,
                            Args&&... args) const {
    throw Error(ErrorCode::kCorruptData, "{}: tensor '{}' {}; the file is damaged", name_,
                Printable(tensor), fmt::format(format, std::forward<Args>(args)...));
  }

  void Walk(PickleRef ref, const std::string& path, int depth) {
    if (++visited_ > kMaxVisited) {
      throw Error(ErrorCode::kExhausted, "{}: holds more than {} values", name_, kMaxVisited);
    }
    if (depth > kMaxTorchDepth) {
      throw Error(ErrorCode::kExhausted, "{}: '{}' is nested more than {} levels deep", name_,
                  Printable(path), kMaxTorchDepth);
    }
    const PickleObject& object = pickle_[ref];
    if (object.kind == PickleKind::kDict) {
      WalkDict(object, path, depth);
      return;
    }
    if (object.kind != PickleKind::kCall) return;
    std::string_view called = pickle_[object.items[0]].text;
    const PickleObject* arguments = &pickle_[object.items[1]];
    if (called == kRebuildFromType && arguments->items.size() >= 3 &&
        pickle_[arguments->items[0]].kind == PickleKind::kName &&
        pickle_[arguments->items[2]].kind == PickleKind::kTuple) {
      called = pickle_[arguments->items[0]].text;
      arguments = &pickle_[arguments->items[2]];
    }
    if (Contains(kRebuildTensor, called)) {
      if (static_cast<Index>(views_.size()) >= kMaxTensors) {
        throw Error(ErrorCode::kExhausted, "{}: holds more than {} tensors", name_, kMaxTensors);
      }
      if (!views_.emplace(path, ReadView(path, called, arguments->items)).second) {
        Corrupt(path, "stands twice");
      }
    } else if (Contains(kRebuildParameter, called)) {
      if (arguments->items.empty()) Corrupt(path, "is a parameter without data");
      Walk(arguments->items[0], path, depth + 1);
    } else if (called.starts_with(kModulePrefix) && object.state != kNoPickleRef &&
               pickle_[object.state].kind == PickleKind::kDict) {
      WalkDict(pickle_[object.state], path, depth);
    }
  }

  void WalkDict(const PickleObject& dict, const std::string& path, int depth) {
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleObject& key = pickle_[dict.items[i]];
      std::string member;
      if (key.kind == PickleKind::kText) {
        member = key.text.substr(0, kMaxTensorName + 1);
      } else if (key.kind == PickleKind::kInt) {
        member = fmt::format("{}", key.integer);
      } else {
        continue;  // no state dictionary has such keys
      }
      std::string full = path.empty() ? std::move(member) : fmt::format("{}.{}", path, member);
      if (full.size() > kMaxTensorName) {
        throw Error(ErrorCode::kExhausted, "{}: the name '{}' has more than {} bytes", name_,
                    Printable(full), kMaxTensorName);
      }
      Walk(dict.items[i + 1], full, depth + 1);
    }
  }

  Index WholeNumber(const std::string& tensor, PickleRef ref, const char* what) const {
    const PickleObject& object = pickle_[ref];
    if (object.kind != PickleKind::kInt || object.integer < 0) {
      Corrupt(tensor, "has no whole number from 0 on as its {}", what);
    }
    return object.integer;
  }

  std::vector<Index> WholeNumbers(const std::string& tensor, PickleRef ref,
                                  const char* what) const {
    const PickleObject* object = &pickle_[ref];
    // torch.Size((..)) is a call with the tuple.
    if (object->kind == PickleKind::kCall && !pickle_[object->items[1]].items.empty()) {
      object = &pickle_[pickle_[object->items[1]].items[0]];
    }
    if (object->kind != PickleKind::kTuple && object->kind != PickleKind::kList) {
      Corrupt(tensor, "has {} as its {}", NameOf(object->kind), what);
    }
    if (object->items.size() > kMaxAxes) {
      Corrupt(tensor, "has {} numbers as its {}", object->items.size(), what);
    }
    std::vector<Index> numbers;
    for (const PickleRef item : object->items) numbers.push_back(WholeNumber(tensor, item, what));
    return numbers;
  }

  Storage ReadStorage(const std::string& tensor, PickleRef ref) const {
    const PickleObject& object = pickle_[ref];
    if (object.kind != PickleKind::kPersistent) {
      Corrupt(tensor, "is made of {}, not of a storage", NameOf(object.kind));
    }
    const PickleObject& id = pickle_[object.items[0]];
    if (id.kind != PickleKind::kTuple || id.items.size() < 5 ||
        pickle_[id.items[0]].kind != PickleKind::kText || pickle_[id.items[0]].text != "storage" ||
        pickle_[id.items[1]].kind != PickleKind::kName ||
        pickle_[id.items[2]].kind != PickleKind::kText) {
      Corrupt(tensor, "has a storage that is not described as torch.save does");
    }
    const StorageName* type = Find(kStorages, pickle_[id.items[1]].text);
    if (type == nullptr) {
      Corrupt(tensor, "has a storage of type '{}'", Printable(pickle_[id.items[1]].text));
    }
    Storage storage;
    storage.key = pickle_[id.items[2]].text.substr(0, kMaxTensorName);
    storage.type = type->type;
    const Index numel = WholeNumber(tensor, id.items[4], "storage's size");
    if (__builtin_mul_overflow(numel, SizeOf(storage.type), &storage.bytes)) {
      Corrupt(tensor, "has a storage of {} elements", numel);
    }
    // The older format can give a part of a storage: (key, offset, size) in elements.
    if (id.items.size() > 5 && pickle_[id.items[5]].kind == PickleKind::kTuple) {
      const PickleObject& part = pickle_[id.items[5]];
      if (part.items.size() != 3) Corrupt(tensor, "has a part of a storage without its place");
      const Index from = WholeNumber(tensor, part.items[1], "part's offset");
      const Index size = WholeNumber(tensor, part.items[2], "part's size");
      if (from > numel || size > numel - from) {
        Corrupt(tensor, "has a part of elements {} to {} of a storage of {}", from, from + size,
                numel);
      }
      storage.offset = from * SizeOf(storage.type);
      storage.bytes = size * SizeOf(storage.type);
    }
    return storage;
  }

  View ReadView(const std::string& tensor, std::string_view called,
                const std::vector<PickleRef>& arguments) const {
    if (arguments.size() < 4) Corrupt(tensor, "is described by {} values", arguments.size());
    View view;
    view.storage = ReadStorage(tensor, arguments[0]);
    view.type = view.storage.type;
    if (called.ends_with("_v3") && arguments.size() > 6) {
      const StorageName* type = pickle_[arguments[6]].kind == PickleKind::kName
                                    ? Find(kTorchTypes, pickle_[arguments[6]].text)
                                    : nullptr;
      if (type == nullptr) {
        throw Error(ErrorCode::kUnsupported, "{}: tensor '{}' has a type that is not read", name_,
                    Printable(tensor));
      }
      view.type = type->type;
    }
    view.offset = WholeNumber(tensor, arguments[1], "offset");
    view.shape = WholeNumbers(tensor, arguments[2], "shape");
    view.strides = WholeNumbers(tensor, arguments[3], "strides");
    if (view.shape.size() != view.strides.size()) {
      Corrupt(tensor, "has {} dimensions and {} strides", view.shape.size(), view.strides.size());
    }
    const Index held = view.storage.bytes / SizeOf(view.type);
    bool fits = true;
    Index last = 0;
    for (std::size_t i = 0; i < view.shape.size() && fits; ++i) {
      Index reach = 0;
      fits =
          !__builtin_mul_overflow(view.count, view.shape[i], &view.count) &&
          !__builtin_mul_overflow(std::max<Index>(view.shape[i] - 1, 0), view.strides[i], &reach) &&
          !__builtin_add_overflow(last, reach, &last);
    }
    if (fits && view.count > 0) view.extent = last + 1;
    if (!fits || view.offset > held || view.extent > held - view.offset ||
        last == std::numeric_limits<Index>::max()) {
      Corrupt(tensor, "of shape {}, strides {} and offset {} reaches beyond its storage of {} {}",
              ShapeText(view.shape), ShapeText(view.strides), view.offset, held, NameOf(view.type));
    }
    // No checkpoint repeats values; one that does could ask for any amount of memory.
    if (view.count > held) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: tensor '{}' of shape {} repeats the {} values of its storage; save "
                  "tensor.contiguous()",
                  name_, Printable(tensor), ShapeText(view.shape), held);
    }
    if (storages_ != nullptr) {
      const Index real = storages_->SizeOfStorage(view.storage.key);
      const Index wanted = view.storage.offset + view.storage.bytes;
      if (real < 0) {
        Corrupt(tensor, "lies in storage '{}', which the file does not have",
                Printable(view.storage.key));
      }
      if (real < wanted) {
        Corrupt(tensor, "lies in storage '{}' of {} bytes, which holds {}",
                Printable(view.storage.key), wanted, real);
      }
    }
    return view;
  }

  const Pickle& pickle_;
  const std::string& name_;
  const StorageReader* storages_;
  Index visited_ = 0;
  std::map<std::string, View> views_;
};

// torch.save and torch.jit.save: a zip archive.
class ZipStorages : public StorageReader {
 public:
  ZipStorages(const ZipArchive& zip, std::string prefix) : zip_(zip), prefix_(std::move(prefix)) {}
  Index SizeOfStorage(const std::string& key) const override {
    const ZipEntry* entry = Entry(key);
    return entry == nullptr ? -1 : entry->size;
  }
  std::vector<std::uint8_t> Read(const std::string& key, Index offset, Index count) const override {
    return zip_.Read(*Entry(key), offset, count);
  }

 private:
  const ZipEntry* Entry(const std::string& key) const {
    const ZipEntry* entry = zip_.Find(prefix_ + "data/" + key);
    return entry != nullptr ? entry : zip_.Find(prefix_ + "tensors/" + key);
  }

  const ZipArchive& zip_;
  std::string prefix_;
};

// The older format: storages one after the other behind the pickles.
class MappedStorages : public StorageReader {
 public:
  explicit MappedStorages(const MappedFile& file) : file_(file) {}
  void Add(std::string key, Index offset, Index size) { places_[std::move(key)] = {offset, size}; }
  Index SizeOfStorage(const std::string& key) const override {
    const auto found = places_.find(key);
    return found == places_.end() ? -1 : found->second.second;
  }
  std::vector<std::uint8_t> Read(const std::string& key, Index offset, Index count) const override {
    const auto bytes = file_.bytes().subspan(ToSize(places_.at(key).first + offset), ToSize(count));
    std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
    file_.Release();
    return copy;
  }

 private:
  const MappedFile& file_;
  std::map<std::string, std::pair<Index, Index>> places_;
};

template <typename T, typename To>
void Gather(const View& view, const std::uint8_t* bytes, To (*convert)(T), std::vector<To>& out) {
  if (view.IsContiguous()) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      T value;
      std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
      out[i] = convert(value);
    }
    return;
  }
  std::array<Index, kMaxAxes> at{};
  const std::size_t axes = view.shape.size();
  Index place = 0;
  for (Index i = 0; i < view.count; ++i) {
    T value;
    std::memcpy(&value, bytes + place * static_cast<Index>(sizeof(T)), sizeof(T));
    At(out, i) = convert(value);
    for (std::size_t axis = axes; axis > 0; --axis) {
      const std::size_t a = axis - 1;
      place += view.strides[a];
      if (++at[a] < view.shape[a]) break;
      place -= at[a] * view.strides[a];
      at[a] = 0;
    }
  }
}

class TorchFile : public TensorFile {
 public:
  explicit TorchFile(const std::filesystem::path& path) : path_(path), name_(PathText(path)) {}

  void ReadZip() {
    zip_.emplace(path_);
    const std::string prefix = FindPrefix();
    const auto find = [&](const char* entry) { return zip_->Find(prefix + entry); };
    if (const ZipEntry* order = find("byteorder"); order != nullptr && order->size <= 16) {
      const std::vector<std::uint8_t> bytes = zip_->Read(*order, 0, order->size);
      CheckOrder({bytes.begin(), bytes.end()});
    }
    const ZipEntry& data = *find("data.pkl");
    if (data.size > kMaxPickleBytes) {
      throw Error(ErrorCode::kExhausted,
                  "{}: its pickle has {} bytes, at most {} are read; save the weights alone", name_,
                  data.size, kMaxPickleBytes);
    }
    script_ = std::ranges::any_of(zip_->entries(), [&](const ZipEntry& e) {
      return e.name == prefix + "constants.pkl" || e.name.starts_with(prefix + "code/");
    });
    const std::vector<std::uint8_t> bytes = zip_->Read(data, 0, data.size);
    const std::string name = fmt::format("{}: {}", name_, Printable(data.name));
    const Pickle pickle = ReadPickle(bytes, name, KnownName);
    auto storages = std::make_unique<ZipStorages>(*zip_, prefix);
    std::map<std::string, View> views = Collector(pickle, name_, storages.get()).Collect();
    Finish(std::move(views), std::move(storages));
  }

  void ReadLegacy() {
    mapped_.emplace(path_);
    std::span<const std::uint8_t> rest = mapped_->bytes();
    const auto next = [&](const char* what) {
      Pickle pickle = ReadPickle(rest.first(std::min(rest.size(), ToSize(kMaxPickleBytes))),
                                 fmt::format("{}: {}", name_, what), KnownName);
      rest = rest.subspan(pickle.size);
      return pickle;
    };
    // 0x1950a86a20f9469cfc6c, then the version, then the machine that wrote it.
    constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
    const Pickle magic = next("magic number");
    if (magic[magic.root].kind != PickleKind::kBigInt || magic[magic.root].text != kMagic) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: a pickle, but not one that torch.save wrote; give the file of a checkpoint",
                  name_);
    }
    const Pickle version = next("version");
    if (version[version.root].integer != 1001) {
      throw Error(ErrorCode::kUnsupported, "{}: version {} of PyTorch's older format; 1001 is read",
                  name_, version[version.root].integer);
    }
    const Pickle system = next("system");
    const PickleObject& facts = system[system.root];
    for (std::size_t i = 0; facts.kind == PickleKind::kDict && i + 1 < facts.items.size(); i += 2) {
      if (system[facts.items[i]].text == "little_endian") {
        CheckOrder(system[facts.items[i + 1]].integer != 0 ? "little" : "big");
      }
    }
    const Pickle data = next("data");
    const Pickle keys = next("keys of its storages");
    // Sizes first, from what the pickle says; the file then repeats them.
    std::map<std::string, View> views = Collector(data, name_, nullptr).Collect();
    std::map<std::string, Index> element;
    for (const PickleObject& object : data.objects) {
      if (object.kind != PickleKind::kPersistent) continue;
      const PickleObject& id = data[object.items[0]];
      if (id.kind != PickleKind::kTuple || id.items.size() < 5) continue;
      const StorageName* type = Find(kStorages, data[id.items[1]].text);
      if (type == nullptr) continue;
      element[std::string(data[id.items[2]].text)] = SizeOf(type->type);
    }
    auto storages = std::make_unique<MappedStorages>(*mapped_);
    if (keys[keys.root].kind != PickleKind::kList) {
      throw Error(ErrorCode::kCorruptData, "{}: has no list of its storages; it is damaged", name_);
    }
    for (const PickleRef ref : keys[keys.root].items) {
      const std::string key(keys[ref].text);
      const auto size = element.find(key);
      std::uint64_t count = 0;
      if (rest.size() >= sizeof(count)) std::memcpy(&count, rest.data(), sizeof(count));
      if (size == element.end() || rest.size() < sizeof(count) ||
          count > (rest.size() - sizeof(count)) / ToSize(size->second)) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: storage '{}' of {} elements does not fit the {} bytes that are left; the "
                    "file is cut off or damaged, fetch it again",
                    name_, Printable(key), count, rest.size());
      }
      rest = rest.subspan(sizeof(count));
      const auto bytes = ToSize(count) * ToSize(size->second);
      storages->Add(key, static_cast<Index>(mapped_->bytes().size() - rest.size()),
                    static_cast<Index>(bytes));
      rest = rest.subspan(bytes);
    }
    for (const auto& [name, view] : views) {
      const Index real = storages->SizeOfStorage(view.storage.key);
      if (real < view.storage.offset + view.storage.bytes) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: tensor '{}' lies in storage '{}' of {} bytes, of which the file has {}; "
                    "it is damaged",
                    name_, Printable(name), Printable(view.storage.key),
                    view.storage.offset + view.storage.bytes, std::max<Index>(real, 0));
      }
    }
    Finish(std::move(views), std::move(storages));
  }

  std::string kind() const override { return script_ ? "TorchScript archive" : "PyTorch file"; }
  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }

  std::vector<float> ReadAsFloat(const std::string& name) const override {
    const View& view = ViewOf(name);
    switch (view.type) {
      case DataType::kF64:
      case DataType::kF32:
      case DataType::kF16:
      case DataType::kBF16:
        return Read<float>(view);
      default:
        throw Error(ErrorCode::kUnsupported,
                    "{}: tensor '{}' has the type {}, where F64, F32, F16 or BF16 is wanted", name_,
                    Printable(name), NameOf(view.type));
    }
  }

  double ReadScalar(const std::string& name) const override {
    const View& view = ViewOf(name);
    if (view.count != 1) {
      throw Error(ErrorCode::kCorruptData, "{}: tensor '{}' has shape {}, one number was expected",
                  name_, Printable(name), ShapeText(view.shape));
    }
    return Read<double>(view)[0];
  }

  std::filesystem::path FileOf(const std::string&) const override { return path_; }
  std::vector<std::filesystem::path> files() const override { return {path_}; }

 private:
  const View& ViewOf(const std::string& name) const {
    const auto found = views_.find(name);
    if (found == views_.end()) {
      throw Error(ErrorCode::kNotFound, "{}: has no tensor '{}' among its {}", name_,
                  Printable(name), views_.size());
    }
    return found->second;
  }

  // Everything lies in one folder, named after the file: "archive/".
  std::string FindPrefix() const {
    constexpr std::string_view kData = "data.pkl";
    std::optional<std::string> prefix;
    for (const ZipEntry& entry : zip_->entries()) {
      const std::size_t slash = entry.name.find('/');
      const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
      if (std::string_view(entry.name).substr(begin) != kData) continue;
      if (prefix) {
        throw Error(ErrorCode::kCorruptData, "{}: has two data.pkl, '{}' and '{}'", name_,
                    Printable(*prefix), Printable(entry.name));
      }
      prefix = entry.name.substr(0, begin);
    }
    if (!prefix) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: a zip archive without data.pkl, so not one that torch.save wrote; unpack it "
                  "or give the checkpoint",
                  name_);
    }
    return *prefix;
  }

  void CheckOrder(const std::string& order) const {
    if (order == "little") return;
    throw Error(ErrorCode::kUnsupported,
                "{}: its byte order is '{}'; only little-endian files are read, load it with "
                "PyTorch and save it again on a little-endian machine",
                name_, Printable(order));
  }

  void Finish(std::map<std::string, View> views, std::unique_ptr<StorageReader> storages) {
    views_ = std::move(views);
    storages_ = std::move(storages);
    for (const auto& [name, view] : views_) infos_[name] = {view.type, view.shape};
  }

  template <typename To>
  std::vector<To> Read(const View& view) const {
    std::vector<To> out(ToSize(view.count));
    if (view.count == 0) return out;
    const Index size = SizeOf(view.type);
    const std::vector<std::uint8_t> bytes = storages_->Read(
        view.storage.key, view.storage.offset + view.offset * size, view.extent * size);
    const std::uint8_t* at = bytes.data();
    switch (view.type) {
      case DataType::kF64:
        Gather<double, To>(
            view, at, [](double v) { return static_cast<To>(v); }, out);
        break;
      case DataType::kF32:
        Gather<float, To>(
            view, at, [](float v) { return static_cast<To>(v); }, out);
        break;
      case DataType::kF16:
        Gather<std::uint16_t, To>(
            view, at, [](std::uint16_t v) { return static_cast<To>(HalfToFloat(v)); }, out);
        break;
      case DataType::kBF16:
        Gather<std::uint16_t, To>(
            view, at, [](std::uint16_t v) { return static_cast<To>(BFloat16ToFloat(v)); }, out);
        break;
      case DataType::kI64:
        Gather<std::int64_t, To>(
            view, at, [](std::int64_t v) { return static_cast<To>(v); }, out);
        break;
      case DataType::kI32:
        Gather<std::int32_t, To>(
            view, at, [](std::int32_t v) { return static_cast<To>(v); }, out);
        break;
      case DataType::kI16:
        Gather<std::int16_t, To>(
            view, at, [](std::int16_t v) { return static_cast<To>(v); }, out);
        break;
      case DataType::kI8:
        Gather<std::int8_t, To>(
            view, at, [](std::int8_t v) { return static_cast<To>(v); }, out);
        break;
      case DataType::kU8:
      case DataType::kBool:
        Gather<std::uint8_t, To>(
            view, at, [](std::uint8_t v) { return static_cast<To>(v); }, out);
        break;
    }
    return out;
  }

  std::filesystem::path path_;
  std::string name_;
  bool script_ = false;
  std::optional<ZipArchive> zip_;
  std::optional<MappedFile> mapped_;
  std::map<std::string, View> views_;
  std::map<std::string, TensorInfo> infos_;
  std::unique_ptr<StorageReader> storages_;
};

constexpr std::array<std::uint8_t, 4> kZipHead = {'P', 'K', 3, 4};

bool IsZip(std::span<const std::uint8_t> head) {
  return head.size() >= kZipHead.size() &&
         std::equal(kZipHead.begin(), kZipHead.end(), head.begin());
}

}  // namespace

bool LooksLikeTorchFile(std::span<const std::uint8_t> head) {
  // The older format opens with a pickle: PROTO, then a protocol. A safetensors file with such a
  // length has a zero behind it.
  return IsZip(head) ||
         (head.size() > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 && head[2] != 0);
}

std::unique_ptr<TensorFile> OpenTorchFile(const std::filesystem::path& path) {
  auto file = std::make_unique<TorchFile>(path);
  const MappedFile mapped(path);
  if (IsZip(mapped.bytes())) {
    file->ReadZip();
  } else {
    file->ReadLegacy();
  }
  return file;
}

}  // namespace cliplens
