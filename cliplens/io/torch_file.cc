#include "cliplens/io/torch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/pickle.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/torch_views.h"
#include "cliplens/io/zip.h"

namespace cliplens {
namespace {

constexpr Index kMaxPickleBytes = Index{64} << 20;
constexpr Index kMaxPickleOfArrays = Index{2} << 30;

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

// The elements of a view, row-major; `bytes` begin with its first one.
template <typename Element, typename To>
void Gather(const TorchView& view, const std::uint8_t* bytes, std::vector<To>& out) {
  if (view.IsContiguous()) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<To>(Element::Load(bytes + i * Element::kBytes));
    }
    return;
  }
  std::array<Index, kMaxTorchAxes> at{};
  Index place = 0;
  for (To& value : out) {
    value = static_cast<To>(Element::Load(bytes + place * static_cast<Index>(Element::kBytes)));
    for (std::size_t axis = view.shape.size(); axis > 0; --axis) {
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
    // NumPy's arrays stand in the pickle, which is then as large as its file.
    std::error_code failed;
    const auto file_size = static_cast<Index>(std::filesystem::file_size(path_, failed));
    const Index limit =
        std::clamp(failed ? Index{0} : file_size, kMaxPickleBytes, kMaxPickleOfArrays);
    if (data.size > limit) {
      throw Error(ErrorCode::kExhausted,
                  "{}: its pickle has {} bytes, at most {} are read; save the weights alone", name_,
                  data.size, limit);
    }
    script_ = std::ranges::any_of(zip_->entries(), [&](const ZipEntry& e) {
      return e.name == prefix + "constants.pkl" || e.name.starts_with(prefix + "code/");
    });
    pickled_ = zip_->Read(data, 0, data.size);
    const std::string name = fmt::format("{}: {}", name_, Printable(data.name));
    const Pickle pickle = ReadPickle(pickled_, name, IsTorchName, {.text = data.size});
    auto storages = std::make_unique<ZipStorages>(*zip_, prefix);
    std::map<std::string, TorchView> views = CollectTorchViews(
        pickle, name_, [&](const std::string& key) { return storages->SizeOfStorage(key); });
    Finish(std::move(views), std::move(storages));
  }

  // Pickles one after the other: a magic number, the version, the machine that wrote the file, the
  // data, the keys of the storages. The storages follow.
  void ReadLegacy() {
    mapped_.emplace(path_);
    std::span<const std::uint8_t> rest = mapped_->bytes();
    CheckLegacyHead(rest);
    const Pickle data = NextPickle(rest, "data", static_cast<Index>(rest.size()));
    const Pickle keys = NextPickle(rest, "keys of its storages");
    // Sizes first, from what the pickle says; the file then repeats them.
    std::map<std::string, TorchView> views = CollectTorchViews(data, name_, {});
    auto storages = PlaceStorages(data, keys, rest);
    for (const auto& [name, view] : views) {
      if (view.storage.in_pickle) continue;
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
    const TorchView& view = ViewOf(name);
    if (!IsFloating(view.type)) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: tensor '{}' has the type {}, where one of {} is wanted", name_,
                  Printable(name), NameOf(view.type), FloatingTypes());
    }
    return Read<float>(view);
  }

  double ReadScalar(const std::string& name) const override {
    const TorchView& view = ViewOf(name);
    if (view.count != 1) {
      throw Error(ErrorCode::kCorruptData, "{}: tensor '{}' has shape {}, one number was expected",
                  name_, Printable(name), ShapeText(view.shape));
    }
    return Read<double>(view)[0];
  }

  std::filesystem::path FileOf(const std::string&) const override { return path_; }
  std::vector<std::filesystem::path> files() const override { return {path_}; }

 private:
  // Takes the pickle that `rest` begins with.
  Pickle NextPickle(std::span<const std::uint8_t>& rest, const char* what,
                    Index most = kMaxPickleBytes) const {
    Pickle pickle = ReadPickle(rest.first(std::min(rest.size(), ToSize(most))),
                               fmt::format("{}: {}", name_, what), IsTorchName, {.text = most});
    rest = rest.subspan(pickle.size);
    return pickle;
  }

  void CheckLegacyHead(std::span<const std::uint8_t>& rest) const {
    // 0x1950a86a20f9469cfc6c.
    constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
    const Pickle magic = NextPickle(rest, "magic number");
    if (magic[magic.root].kind != PickleKind::kBigInt || magic[magic.root].text != kMagic) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: a pickle, but not one that torch.save wrote; give the file of a checkpoint",
                  name_);
    }
    const Pickle version = NextPickle(rest, "version");
    if (version[version.root].integer != 1001) {
      throw Error(ErrorCode::kUnsupported, "{}: version {} of PyTorch's older format; 1001 is read",
                  name_, version[version.root].integer);
    }
    const Pickle system = NextPickle(rest, "system");
    const PickleObject& facts = system[system.root];
    for (std::size_t i = 0; facts.kind == PickleKind::kDict && i + 1 < facts.items.size(); i += 2) {
      if (system[facts.items[i]].text == "little_endian") {
        CheckOrder(system[facts.items[i + 1]].integer != 0 ? "little" : "big");
      }
    }
  }

  // Finds the storages in `rest`: each is its number of elements, then the elements.
  std::unique_ptr<MappedStorages> PlaceStorages(const Pickle& data, const Pickle& keys,
                                                std::span<const std::uint8_t> rest) const {
    std::map<std::string, Index> element;
    for (const PickleObject& object : data.objects) {
      if (object.kind != PickleKind::kPersistent) continue;
      const PickleObject& id = data[object.items[0]];
      if (id.kind != PickleKind::kTuple || id.items.size() < 5) continue;
      const std::optional<DataType> type = TypeOfStorage(data[id.items[1]].text);
      if (type) element[std::string(data[id.items[2]].text)] = SizeOf(*type);
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
    return storages;
  }

  const TorchView& ViewOf(const std::string& name) const {
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

  void Finish(std::map<std::string, TorchView> views, std::unique_ptr<StorageReader> storages) {
    views_ = std::move(views);
    storages_ = std::move(storages);
    for (const auto& [name, view] : views_) infos_[name] = {view.type, view.shape};
  }

  template <typename To>
  std::vector<To> Read(const TorchView& view) const {
    std::vector<To> out(ToSize(view.count));
    if (view.count == 0) return out;
    const Index size = SizeOf(view.type);
    const std::vector<std::uint8_t> bytes =
        view.storage.in_pickle
            ? BytesOf(*view.storage.in_pickle)
            : storages_->Read(view.storage.key, view.storage.offset + view.offset * size,
                              view.extent * size);
    VisitType(view.type, [&](auto element) { Gather<decltype(element)>(view, bytes.data(), out); });
    return out;
  }

  std::filesystem::path path_;
  std::string name_;
  bool script_ = false;
  std::vector<std::uint8_t> pickled_;  // of a zip archive: arrays may lie in it
  std::optional<ZipArchive> zip_;
  std::optional<MappedFile> mapped_;
  std::map<std::string, TorchView> views_;
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
  if (IsZip(RandomAccessFile(path).ReadStart(static_cast<Index>(kZipHead.size())))) {
    file->ReadZip();
  } else {
    file->ReadLegacy();
  }
  return file;
}

}  // namespace cliplens
