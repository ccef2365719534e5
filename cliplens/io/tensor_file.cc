#include "cliplens/io/tensor_file.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/torch_file.h"

namespace cliplens {
namespace {

constexpr Index kMaxIndexBytes = Index{16} << 20;
constexpr std::size_t kMaxShards = 1'000;

class SafetensorsTensors : public TensorFile {
 public:
  explicit SafetensorsTensors(const std::filesystem::path& path) : file_(path) {
    for (const auto& [name, entry] : file_.tensors()) infos_[name] = {entry.type, entry.shape};
  }
  std::string kind() const override { return "safetensors"; }
  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }
  std::vector<float> ReadAsFloat(const std::string& name) const override {
    return file_.ReadAsFloat(file_.at(name));
  }
  double ReadScalar(const std::string& name) const override {
    const TensorEntry& entry = file_.at(name);
    const std::vector<double> values = file_.ReadNumbers(entry);
    if (values.size() != 1) {
      throw Error(ErrorCode::kCorruptData, "{}: tensor '{}' has shape {}, one number was expected",
                  PathText(file_.path()), Printable(name), ShapeText(entry.shape));
    }
    return values[0];
  }
  std::filesystem::path FileOf(const std::string&) const override { return file_.path(); }
  std::vector<std::filesystem::path> files() const override { return {file_.path()}; }

 private:
  SafetensorsFile file_;
  std::map<std::string, TensorInfo> infos_;
};

// Tensors and the files that an index says they lie in, in its order.
std::vector<std::pair<std::string, std::string>> ReadWeightMap(const std::filesystem::path& index) {
  const std::string where = PathText(index);
  const Json json = ReadJsonFile(index, kMaxIndexBytes);
  const Json map = JsonField<Json>(json, "weight_map", where);
  if (!map.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: 'weight_map' is no object", where);
  }
  std::vector<std::pair<std::string, std::string>> places;
  places.reserve(map.size());
  for (const auto& [name, file] : map.items()) {
    if (!file.is_string()) {
      throw Error(ErrorCode::kCorruptData, "{}: tensor '{}' is in no file", where, Printable(name));
    }
    const std::string shard = file.get<std::string>();
    // A name with a folder in it could lead out of the model's own.
    if (shard.empty() || shard.find('/') != std::string::npos || shard == "." || shard == ".." ||
        shard.find('\0') != std::string::npos) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' is said to be in '{}', which is no name of a file beside it",
                  where, Printable(name), Printable(shard));
    }
    places.emplace_back(name, shard);
  }
  if (places.empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: names no files", where);
  }
  return places;
}

[[noreturn]] void ThrowManyParts(const std::filesystem::path& index) {
  throw Error(ErrorCode::kExhausted, "{}: names more than {} files", PathText(index), kMaxShards);
}

// Several files and the JSON that says which tensor lies in which.
class ShardedTensors : public TensorFile {
 public:
  explicit ShardedTensors(const std::filesystem::path& index) : index_(index) {
    const std::string where = PathText(index);
    std::map<std::string, std::size_t> known;
    for (const auto& [name, shard] : ReadWeightMap(index)) {
      auto found = known.find(shard);
      if (found == known.end()) {
        if (known.size() == kMaxShards) ThrowManyParts(index);
        found = known.emplace(shard, shards_.size()).first;
        shards_.push_back(Open(index.parent_path() / shard, where));
      }
      const TensorFile& holder = *shards_[found->second];
      const auto tensor = holder.tensors().find(name);
      if (tensor == holder.tensors().end()) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: tensor '{}' is not in {}, where {} has it; the files do not belong "
                    "together, fetch them again",
                    where, Printable(name), Printable(shard), where);
      }
      infos_.emplace(name, tensor->second);
      place_.emplace(name, found->second);
    }
  }

  std::string kind() const override { return shards_.front()->kind() + " in several files"; }
  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }
  std::vector<float> ReadAsFloat(const std::string& name) const override {
    return Holder(name).ReadAsFloat(name);
  }
  double ReadScalar(const std::string& name) const override {
    return Holder(name).ReadScalar(name);
  }
  std::filesystem::path FileOf(const std::string& name) const override {
    return place_.contains(name) ? Holder(name).FileOf(name) : index_;
  }
  std::vector<std::filesystem::path> files() const override {
    std::vector<std::filesystem::path> files = {index_};
    for (const auto& shard : shards_) files.push_back(shard->files().front());
    std::sort(files.begin() + 1, files.end());
    return files;
  }

 private:
  static std::unique_ptr<TensorFile> Open(const std::filesystem::path& path,
                                          const std::string& where) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      throw Error(ErrorCode::kNotFound, "{}: is missing, {} names it; fetch all files of the model",
                  PathText(path), where);
    }
    if (path.extension() == ".json") {
      throw Error(ErrorCode::kCorruptData, "{}: names the index '{}' as a file of tensors", where,
                  Printable(path.filename().native()));
    }
    return OpenTensorFile(path);
  }

  const TensorFile& Holder(const std::string& name) const {
    const auto found = place_.find(name);
    if (found == place_.end()) {
      throw Error(ErrorCode::kNotFound, "{}: has no tensor '{}' among its {}", PathText(index_),
                  Printable(name), place_.size());
    }
    return *shards_[found->second];
  }

  std::filesystem::path index_;
  std::vector<std::unique_ptr<TensorFile>> shards_;
  std::map<std::string, TensorInfo> infos_;
  std::map<std::string, std::size_t> place_;
};

}  // namespace

std::vector<std::string> PartsOfIndex(const std::filesystem::path& index) {
  std::set<std::string> parts;
  for (auto& [name, part] : ReadWeightMap(index)) parts.insert(std::move(part));
  if (parts.size() > kMaxShards) ThrowManyParts(index);
  return {parts.begin(), parts.end()};
}

std::unique_ptr<TensorFile> OpenTensorFile(const std::filesystem::path& path) {
  if (path.extension() == ".json") return std::make_unique<ShardedTensors>(path);
  if (LooksLikeTorchFile(RandomAccessFile(path).ReadStart(8))) return OpenTorchFile(path);
  return std::make_unique<SafetensorsTensors>(path);
}

}  // namespace cliplens
