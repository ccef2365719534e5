#include "cliplens/io/torch_views.h"

#include <algorithm>
#include <limits>
#include <span>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kMaxTensors = Index{1} << 16;
constexpr Index kMaxVisited = 4'000'000;
constexpr int kMaxTorchDepth = 64;
constexpr std::size_t kMaxTensorName = 1024;

struct StorageName {
  std::string_view name;
  DataType type;
};

// The storages of one type; for an untyped one the tensor gives the type.
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
    {"torch.float64", DataType::kF64},
    {"torch.float32", DataType::kF32},
    {"torch.float16", DataType::kF16},
    {"torch.bfloat16", DataType::kBF16},
    {"torch.float8_e4m3fn", DataType::kF8E4M3},
    {"torch.float8_e5m2", DataType::kF8E5M2},
    {"torch.int64", DataType::kI64},
    {"torch.int32", DataType::kI32},
    {"torch.int16", DataType::kI16},
    {"torch.int8", DataType::kI8},
    {"torch.uint8", DataType::kU8},
    {"torch.bool", DataType::kBool},
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

// NumPy's types, by the letters that its pickles have.
constexpr StorageName kNumpyTypes[] = {
    {"f8", DataType::kF64}, {"f4", DataType::kF32}, {"f2", DataType::kF16},
    {"i8", DataType::kI64}, {"i4", DataType::kI32}, {"i2", DataType::kI16},
    {"i1", DataType::kI8},  {"u1", DataType::kU8},  {"b1", DataType::kBool},
};
constexpr std::string_view kNumpyArray[] = {"numpy.core.multiarray._reconstruct",
                                            "numpy._core.multiarray._reconstruct"};
constexpr std::string_view kNumpyFromBuffer[] = {"numpy.core.numeric._frombuffer",
                                                 "numpy._core.numeric._frombuffer"};

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

class Collector {
 public:
  Collector(const Pickle& pickle, const std::string& name, const TorchStorageSize& size_of)
      : pickle_(pickle), name_(name), size_of_(size_of) {}

  std::map<std::string, TorchView> Collect() {
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
      Add(path, ReadView(path, called, arguments->items));
    } else if (IsNumpy(called)) {
      std::optional<TorchView> view = ReadArray(path, called, object);
      if (view) Add(path, std::move(*view));
    } else if (Contains(kRebuildParameter, called)) {
      if (arguments->items.empty()) Corrupt(path, "is a parameter without data");
      Walk(arguments->items[0], path, depth + 1);
    } else if (called.starts_with(kModulePrefix) && object.state != kNoPickleRef &&
               pickle_[object.state].kind == PickleKind::kDict) {
      WalkDict(pickle_[object.state], path, depth);
    }
  }

  void Add(const std::string& path, TorchView view) {
    if (static_cast<Index>(views_.size()) >= kMaxTensors) {
      throw Error(ErrorCode::kExhausted, "{}: holds more than {} tensors", name_, kMaxTensors);
    }
    if (!views_.emplace(path, std::move(view)).second) Corrupt(path, "stands twice");
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
    if (object->items.size() > kMaxTorchAxes) {
      Corrupt(tensor, "has {} numbers as its {}", object->items.size(), what);
    }
    std::vector<Index> numbers;
    for (const PickleRef item : object->items) numbers.push_back(WholeNumber(tensor, item, what));
    return numbers;
  }

  TorchStorage ReadStorage(const std::string& tensor, PickleRef ref) const {
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
    TorchStorage storage;
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

  TorchView ReadView(const std::string& tensor, std::string_view called,
                     const std::vector<PickleRef>& arguments) const {
    if (arguments.size() < 4) Corrupt(tensor, "is described by {} values", arguments.size());
    TorchView view;
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
    MeasureView(tensor, view);
    if (size_of_) CheckStorage(tensor, view.storage);
    return view;
  }

  // The type that a call of numpy.dtype stands for; nothing for texts, objects and records.
  std::optional<DataType> ReadNumpyType(const std::string& array, PickleRef ref) const {
    const PickleObject& call = pickle_[ref];
    if (call.kind != PickleKind::kCall || pickle_[call.items[0]].text != "numpy.dtype" ||
        pickle_[call.items[1]].items.empty()) {
      return std::nullopt;
    }
    const StorageName* type = Find(kNumpyTypes, pickle_[pickle_[call.items[1]].items[0]].text);
    if (type == nullptr) return std::nullopt;
    // (version, byte order, ...)
    if (call.state != kNoPickleRef && pickle_[call.state].items.size() >= 2 &&
        pickle_[pickle_[call.state].items[1]].text == ">") {
      throw Error(ErrorCode::kUnsupported,
                  "{}: array '{}' is big-endian; only little-endian arrays are read, save it with "
                  "array.astype('<f4')",
                  name_, Printable(array));
    }
    return type->type;
  }

  // Bytes as they are, or as a call of _codecs.encode(text, "latin1").
  std::optional<PickledBytes> ReadPickledBytes(PickleRef ref) const {
    const PickleObject& object = pickle_[ref];
    if (object.kind == PickleKind::kBytes) return PickledBytes{object.text, false};
    if (object.kind != PickleKind::kCall || pickle_[object.items[0]].text != "_codecs.encode") {
      return std::nullopt;
    }
    const std::vector<PickleRef>& arguments = pickle_[object.items[1]].items;
    if (arguments.size() != 2 || pickle_[arguments[0]].kind != PickleKind::kText ||
        pickle_[arguments[1]].text != "latin1") {
      return std::nullopt;
    }
    return PickledBytes{pickle_[arguments[0]].text, true};
  }

  // A NumPy array; nothing for one that does not hold numbers.
  std::optional<TorchView> ReadArray(const std::string& path, std::string_view called,
                                     const PickleObject& call) {
    const std::vector<PickleRef>& arguments = pickle_[call.items[1]].items;
    std::optional<DataType> type;
    std::optional<PickledBytes> bytes;
    TorchView view;
    bool columns_first = false;
    if (Contains(kNumpyFromBuffer, called)) {
      if (arguments.size() != 4) return std::nullopt;
      bytes = ReadPickledBytes(arguments[0]);
      type = ReadNumpyType(path, arguments[1]);
      if (type && bytes) view.shape = WholeNumbers(path, arguments[2], "shape");
      columns_first = pickle_[arguments[3]].text == "F";
    } else {
      // (version, shape, type, whether columns come first, bytes)
      if (call.state == kNoPickleRef || pickle_[call.state].items.size() != 5) return std::nullopt;
      const std::vector<PickleRef>& state = pickle_[call.state].items;
      type = ReadNumpyType(path, state[2]);
      bytes = ReadPickledBytes(state[4]);
      if (type && bytes) view.shape = WholeNumbers(path, state[1], "shape");
      columns_first = pickle_[state[3]].integer != 0;
    }
    if (!type || !bytes) return std::nullopt;
    view.type = view.storage.type = *type;
    view.storage.in_pickle = bytes;
    // Counted once, however many arrays share them.
    const auto [counted, added] = counted_.emplace(bytes->text.data(), 0);
    if (added) counted->second = CountBytes(*bytes);
    view.storage.bytes = counted->second;
    if (view.storage.bytes < 0) Corrupt(path, "has other characters than bytes can be written as");
    view.strides.resize(view.shape.size());
    Index step = 1;
    for (std::size_t i = 0; i < view.shape.size(); ++i) {
      const std::size_t axis = columns_first ? i : view.shape.size() - 1 - i;
      view.strides[axis] = step;
      if (__builtin_mul_overflow(step, std::max<Index>(view.shape[axis], 1), &step)) {
        Corrupt(path, "has the shape {}", ShapeText(view.shape));
      }
    }
    MeasureView(path, view);
    if (view.count * SizeOf(view.type) != view.storage.bytes) {
      Corrupt(path, "of shape {} has {} bytes", ShapeText(view.shape), view.storage.bytes);
    }
    return view;
  }

  // Sets count and extent. Throws for a view that reaches beyond its storage or repeats values.
  void MeasureView(const std::string& tensor, TorchView& view) const {
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
    // No checkpoint repeats values, and a view that does could claim any amount of memory.
    if (view.count > held) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: tensor '{}' of shape {} repeats the {} values of its storage; save "
                  "tensor.contiguous()",
                  name_, Printable(tensor), ShapeText(view.shape), held);
    }
  }

  // Throws for a storage that the file does not hold whole.
  void CheckStorage(const std::string& tensor, const TorchStorage& storage) const {
    const Index real = size_of_(storage.key);
    const Index wanted = storage.offset + storage.bytes;
    if (real < 0) {
      Corrupt(tensor, "lies in storage '{}', which the file does not have", Printable(storage.key));
    }
    if (real < wanted) {
      Corrupt(tensor, "lies in storage '{}' of {} bytes, which holds {}", Printable(storage.key),
              wanted, real);
    }
  }

  static bool IsNumpy(std::string_view called) {
    return Contains(kNumpyArray, called) || Contains(kNumpyFromBuffer, called);
  }

  // How many bytes they are, or -1 for what is not Latin-1.
  static Index CountBytes(const PickledBytes& pickled) {
    if (!pickled.latin1) return static_cast<Index>(pickled.text.size());
    Index count = 0;
    for (std::size_t i = 0; i < pickled.text.size(); ++i, ++count) {
      const auto byte = static_cast<std::uint8_t>(pickled.text[i]);
      if (byte < 0x80) continue;
      ++i;
      if ((byte != 0xC2 && byte != 0xC3) || i == pickled.text.size() ||
          (static_cast<std::uint8_t>(pickled.text[i]) & 0xC0) != 0x80) {
        return -1;
      }
    }
    return count;
  }

  const Pickle& pickle_;
  const std::string& name_;
  const TorchStorageSize& size_of_;
  Index visited_ = 0;
  std::unordered_map<const char*, Index> counted_;
  std::map<std::string, TorchView> views_;
};

}  // namespace

bool IsTorchName(std::string_view name) {
  return Find(kStorages, name) != nullptr || Find(kTorchTypes, name) != nullptr ||
         Contains(kRebuildTensor, name) || Contains(kRebuildParameter, name) ||
         name == kRebuildFromType || Contains(kNumpyArray, name) ||
         Contains(kNumpyFromBuffer, name) || Contains(kPlain, name) ||
         name.starts_with(kModulePrefix);
}

std::vector<std::uint8_t> BytesOf(const PickledBytes& pickled) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(pickled.text.size());
  for (std::size_t i = 0; i < pickled.text.size(); ++i) {
    auto byte = static_cast<std::uint8_t>(pickled.text[i]);
    if (pickled.latin1 && byte >= 0x80) {
      byte = static_cast<std::uint8_t>(byte << 6 |
                                       (static_cast<std::uint8_t>(pickled.text[++i]) & 0x3F));
    }
    bytes.push_back(byte);
  }
  return bytes;
}

std::optional<DataType> TypeOfStorage(std::string_view name) {
  const StorageName* found = Find(kStorages, name);
  if (found == nullptr) return std::nullopt;
  return found->type;
}

bool TorchView::IsContiguous() const {
  Index step = 1;
  for (std::size_t i = shape.size(); i > 0; --i) {
    if (shape[i - 1] != 1 && strides[i - 1] != step) return false;
    step *= shape[i - 1];
  }
  return true;
}

std::map<std::string, TorchView> CollectTorchViews(const Pickle& pickle, const std::string& name,
                                                   const TorchStorageSize& size_of) {
  return Collector(pickle, name, size_of).Collect();
}

}  // namespace cliplens
