#include "cliplens/decompose/store.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

constexpr char kFormat[] = "cliplens.store/1";
constexpr char kManifestFile[] = "manifest.json";
constexpr char kStatisticsFile[] = "stats.safetensors";
constexpr char kBasisFile[] = "basis.safetensors";
constexpr Index kMaxManifestBytes = Index{256} << 20;
constexpr Index kMaxItemsBytes = Index{1} << 30;

std::string ShardFile(Index s) { return fmt::format("shard-{:05d}.safetensors", s); }
std::string ItemsFile(Index s) { return fmt::format("items-{:05d}.jsonl", s); }

std::string HashFile(const fs::path& path) {
  const MappedFile file(path);
  return HashBytes(file.bytes());
}

void CheckHash(const fs::path& path, const std::string& expected) {
  const std::string found = HashFile(path);
  if (found != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: its checksum is {}, the manifest says {}; the file was changed or damaged: "
                "restore it or decompose again",
                path.string(), found, expected);
  }
}

const char* NameOf(StoreType type) { return type == StoreType::kF16 ? "fp16" : "fp32"; }

// Bytes of fp32 values in the store's type.
std::vector<std::uint8_t> Encode(std::span<const float> values, StoreType type) {
  std::vector<std::uint8_t> bytes;
  if (type == StoreType::kF32) {
    bytes.resize(values.size_bytes());
    std::memcpy(bytes.data(), values.data(), values.size_bytes());
    return bytes;
  }
  bytes.resize(values.size() * sizeof(std::uint16_t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = FloatToHalf(values[i]);
    std::memcpy(bytes.data() + i * sizeof(half), &half, sizeof(half));
  }
  return bytes;
}

template <std::size_t R>
void ReadInto(const SafetensorsFile& file, const char* name, Array<float, R>& out) {
  const TensorEntry& entry = file.at(name);
  const std::vector<Index> expected(out.shape().begin(), out.shape().end());
  if (entry.shape != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, the manifest asks for {}; decompose again",
                file.path().string(), name, ShapeText(entry.shape), ShapeText(expected));
  }
  out = Array<float, R>(out.shape(), ReadAsFloat(entry));
}

std::string ItemLine(const Item& item) {
  Json line = {{"path", item.path}};
  if (item.label) line["label"] = *item.label;
  if (!item.attributes.empty()) line["attributes"] = item.attributes;
  return DumpJson(line) + "\n";
}

Json ManifestJson(const StoreInfo& info, const std::vector<ShardInfo>& shards,
                  const std::string& statistics_checksum, const std::string& basis_checksum) {
  Json data = Json::array();
  for (const DataSource& d : info.data) {
    data.push_back({{"kind", d.kind}, {"root", d.root}, {"images", d.images}});
  }
  Json files = Json::array();
  for (const ShardInfo& s : shards) {
    files.push_back({{"file", s.file},
                     {"images", s.images},
                     {"checksum", s.checksum},
                     {"items", s.items_file},
                     {"items_checksum", s.items_checksum},
                     {"data", s.source}});
  }
  return Json{{"format", kFormat},
              {"version", kStoreFormatVersion},
              {"model",
               {{"name", info.model_name},
                {"path", info.model_path},
                {"architecture", info.model_architecture},
                {"fingerprint", info.fingerprint},
                {"config", info.model_config}}},
              {"precision", info.precision},
              {"store_dtype", NameOf(info.type)},
              {"stats_only", info.stats_only},
              {"images", info.images},
              {"slices", info.slices},
              {"certificate", {{"max", info.certificate.max}, {"mean", info.certificate.mean}}},
              {"data", data},
              {"statistics", {{"file", kStatisticsFile}, {"checksum", statistics_checksum}}},
              {"basis", {{"file", kBasisFile}, {"checksum", basis_checksum}}},
              {"shards", files}};
}

std::string FingerprintDifference(const StoreInfo& a, const StoreInfo& b) {
  if (a.fingerprint != b.fingerprint) {
    return fmt::format("models differ ({} {} and {} {})", a.model_name, a.fingerprint, b.model_name,
                       b.fingerprint);
  }
  if (a.slices != b.slices) {
    return fmt::format("numbers of slices differ ({} and {})", a.slices, b.slices);
  }
  if (a.type != b.type) {
    return fmt::format("storage types differ ({} and {})", NameOf(a.type), NameOf(b.type));
  }
  if (a.precision != b.precision) {
    return fmt::format("precisions differ ({} and {})", a.precision, b.precision);
  }
  if (a.stats_only != b.stats_only) return "one has statistics only";
  return "";
}

}  // namespace

struct Store::Checked {
  std::mutex mutex;
  std::vector<bool> shards;
};

Store Store::Open(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: no such store; make one with: cliplens decompose MODEL --images PATH --out {}",
                directory.string(), directory.string());
  }
  const fs::path manifest_path = directory / kManifestFile;
  if (!fs::exists(manifest_path, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: there is no {} in it, so it is no store; make one with: cliplens decompose",
                directory.string(), kManifestFile);
  }
  const std::string name = manifest_path.string();
  const Json manifest = ReadJsonFile(manifest_path, kMaxManifestBytes);
  const auto text = [&](const Json& object, const char* key) {
    return JsonField<std::string>(object, key, name);
  };
  const auto number = [&](const Json& object, const char* key, Index high) {
    const auto n = JsonField<std::int64_t>(object, key, name);
    if (n < 0 || n > high) {
      throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, outside of 0 to {}", name, key, n,
                  high);
    }
    return Index{n};
  };
  const std::string format = text(manifest, "format");
  const Index version = number(manifest, "version", 1'000'000);
  if (format != kFormat || version != kStoreFormatVersion) {
    throw Error(ErrorCode::kUnsupported,
                "{}: format {} version {}, this program reads {} version {}; decompose again or "
                "use the program that wrote it",
                name, format, version, kFormat, kStoreFormatVersion);
  }
  constexpr Index kMaxImages = Index{1} << 40;
  Store store;
  store.directory_ = directory;
  StoreInfo& info = store.info_;
  const Json model = JsonField<Json>(manifest, "model", name);
  info.model_name = text(model, "name");
  info.model_path = text(model, "path");
  info.model_architecture = text(model, "architecture");
  info.fingerprint = text(model, "fingerprint");
  info.model_config = JsonField<Json>(model, "config", name);
  info.precision = text(manifest, "precision");
  const std::string type = text(manifest, "store_dtype");
  if (type != "fp32" && type != "fp16") {
    throw Error(ErrorCode::kUnsupported, "{}: 'store_dtype' is '{}'; fp32 and fp16 are known", name,
                type);
  }
  info.type = type == "fp16" ? StoreType::kF16 : StoreType::kF32;
  info.stats_only = JsonField<bool>(manifest, "stats_only", name);
  info.images = number(manifest, "images", kMaxImages);
  info.slices = number(manifest, "slices", 4'096);
  const Json certificate = JsonField<Json>(manifest, "certificate", name);
  info.certificate = {JsonField<double>(certificate, "max", name),
                      JsonField<double>(certificate, "mean", name)};
  for (const Json& d : JsonField<Json>(manifest, "data", name)) {
    info.data.push_back({text(d, "kind"), text(d, "root"), number(d, "images", kMaxImages)});
  }
  Index images = 0;
  for (const Json& s : JsonField<Json>(manifest, "shards", name)) {
    ShardInfo shard;
    shard.file = text(s, "file");
    shard.items_file = text(s, "items");
    shard.images = number(s, "images", Index{1} << 24);
    shard.checksum = text(s, "checksum");
    shard.items_checksum = text(s, "items_checksum");
    shard.source = number(s, "data", kMaxImages);
    const Index index = store.num_shards();
    // Names are fixed, so a manifest cannot send a reader elsewhere.
    if (shard.file != ShardFile(index) || shard.items_file != ItemsFile(index) ||
        shard.source >= static_cast<Index>(info.data.size())) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: shard {} names '{}', '{}' and data {}; '{}' and '{}' were expected", name,
                  index, shard.file, shard.items_file, shard.source, ShardFile(index),
                  ItemsFile(index));
    }
    images += shard.images;
    store.shards_.push_back(std::move(shard));
  }
  store.checked_ = std::make_shared<Checked>();
  store.checked_->shards.resize(store.shards_.size());
  if (!info.stats_only && images != info.images) {
    throw Error(ErrorCode::kCorruptData, "{}: {} pictures, its shards have {}; decompose again",
                name, info.images, images);
  }
  const auto checked = [&](const char* key, const char* file) {
    const Json entry = JsonField<Json>(manifest, key, name);
    CheckHash(directory / file, text(entry, "checksum"));
    return directory / file;
  };
  store.basis_ = ReadBasis(checked("basis", kBasisFile));
  store.statistics_ = Statistics::Read(checked("statistics", kStatisticsFile));
  const Basis& b = store.basis_;
  const Statistics& s = store.statistics_;
  if (s.layers() != b.layers() || s.heads() != b.num_heads() ||
      s.factor_width() != b.factor_width() || s.embed_width() != b.embed_width() ||
      s.images() != info.images || s.slices() != info.slices) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} and {} do not belong together or to its {} pictures; decompose again", name,
                kBasisFile, kStatisticsFile, info.images);
  }
  return store;
}

SafetensorsFile Store::OpenShard(Index s) const {
  const fs::path path = directory_ / shard(s).file;
  const std::lock_guard lock(checked_->mutex);
  if (!checked_->shards[static_cast<std::size_t>(s)]) {
    CheckHash(path, shard(s).checksum);
    checked_->shards[static_cast<std::size_t>(s)] = true;
  }
  return SafetensorsFile(path);
}

FactorBlock Store::ReadShard(Index s) const {
  const ShardInfo& info = shard(s);
  const SafetensorsFile file = OpenShard(s);
  FactorBlock block = MakeBlock(basis_.layers(), basis_.num_heads(), basis_.head_width(),
                                basis_.embed_width(), info.images);
  ReadInto(file, "head_z", block.head_z);
  ReadInto(file, "ln", block.ln);
  ReadInto(file, "mlp", block.mlp);
  ReadInto(file, "cls_attn", block.cls_attn);
  ReadInto(file, "embedding", block.embedding);
  return block;
}

namespace {

void NeedFactors(const StoreInfo& info, const fs::path& directory) {
  if (info.stats_only) {
    throw Error(ErrorCode::kPrecondition,
                "{}: this store has statistics only, this needs the pictures' factors; decompose "
                "without --stats-only",
                directory.string());
  }
}

}  // namespace

Array<float, 2> Store::ReadHead(HeadId id) const {
  NeedFactors(info_, directory_);
  const Index width = basis_.head_width();
  Array<float, 2> z({info_.images, width});
  Index at = 0;
  for (Index s = 0; s < num_shards(); ++s) {
    const SafetensorsFile file = OpenShard(s);  // one head of it is one contiguous read
    const TensorEntry& entry = file.at("head_z");
    const Index images = shard(s).images;
    const std::vector<Index> expected = {basis_.layers(), basis_.num_heads(), images, width};
    if (entry.shape != expected) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor 'head_z' has shape {}, the manifest asks for {}; decompose again",
                  file.path().string(), ShapeText(entry.shape), ShapeText(expected));
    }
    const Index count = images * width;
    const Index bytes = count * SizeOf(entry.type);
    const TensorEntry head{
        entry.name,
        entry.type,
        {images, width},
        entry.bytes.subspan(
            static_cast<std::size_t>((id.layer * basis_.num_heads() + id.head) * bytes),
            static_cast<std::size_t>(bytes))};
    const std::vector<float> values = ReadAsFloat(head);
    std::copy(values.begin(), values.end(), z.data() + at);
    at += count;
  }
  return z;
}

Array<float, 2> Store::ReadRows(const char* name, Index width) const {
  NeedFactors(info_, directory_);
  Array<float, 2> all({info_.images, width});
  Index at = 0;
  for (Index s = 0; s < num_shards(); ++s) {
    const SafetensorsFile file = OpenShard(s);
    Array<float, 2> part({shard(s).images, width});
    ReadInto(file, name, part);
    std::copy(part.flat().begin(), part.flat().end(), all.data() + at);
    at += part.size();
  }
  return all;
}

Array<float, 2> Store::ReadLn() const { return ReadRows("ln", 3); }

Array<float, 2> Store::ReadEmbeddings() const {
  return ReadRows("embedding", basis_.embed_width());
}

std::vector<Item> Store::ReadItems() const {
  NeedFactors(info_, directory_);
  std::vector<Item> items;
  for (Index s = 0; s < num_shards(); ++s) {
    const fs::path path = directory_ / shard(s).items_file;
    const std::string text = ReadTextFile(path, kMaxItemsBytes);
    if (HashBytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}) !=
        shard(s).items_checksum) {
      CheckHash(path, shard(s).items_checksum);
    }
    Index lines = 0;
    for (std::size_t begin = 0; begin < text.size(); ++lines) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string where = fmt::format("{}: line {}", path.string(), lines + 1);
      const Json line = ParseJson(std::string_view(text).substr(begin, end - begin), where);
      Item item;
      item.path = JsonField<std::string>(line, "path", where);
      if (line.contains("label")) item.label = JsonField<std::string>(line, "label", where);
      if (line.contains("attributes")) item.attributes = line["attributes"];
      items.push_back(std::move(item));
      begin = end + 1;
    }
    if (lines != shard(s).images) {
      throw Error(ErrorCode::kCorruptData, "{}: {} lines, the manifest says {}; decompose again",
                  path.string(), lines, shard(s).images);
    }
  }
  return items;
}

StoreWriter::StoreWriter(const fs::path& directory, const Basis& basis, StoreInfo info)
    : directory_(directory), info_(std::move(info)) {
  WriteBasis(directory_.path() / kBasisFile, basis);
  basis_checksum_ = HashFile(directory_.path() / kBasisFile);
}

void StoreWriter::AddShard(const FactorBlock& block, std::span<const Item> items) {
  const auto index = static_cast<Index>(shards_.size());
  ShardInfo shard;
  shard.file = ShardFile(index);
  shard.items_file = ItemsFile(index);
  shard.images = block.images();
  std::vector<std::vector<std::uint8_t>> bytes;
  std::vector<TensorToWrite> tensors;
  const auto add = [&]<std::size_t R>(const char* name, const Array<float, R>& a, StoreType type) {
    bytes.push_back(Encode(a.flat(), type));
    tensors.push_back({name,
                       type == StoreType::kF16 ? DataType::kF16 : DataType::kF32,
                       {a.shape().begin(), a.shape().end()},
                       bytes.back()});
  };
  bytes.reserve(5);
  add("head_z", block.head_z, info_.type);
  add("ln", block.ln, StoreType::kF32);  // every factor is divided by these
  add("mlp", block.mlp, info_.type);
  add("cls_attn", block.cls_attn, info_.type);
  add("embedding", block.embedding, info_.type);
  shard.checksum = WriteSafetensors(directory_.path() / shard.file, tensors);
  std::string lines;
  for (const Item& item : items) lines += ItemLine(item);
  shard.items_checksum =
      HashBytes({reinterpret_cast<const std::uint8_t*>(lines.data()), lines.size()});
  WriteFileAtomically(directory_.path() / shard.items_file, lines);
  info_.images += shard.images;
  shards_.push_back(std::move(shard));
}

void StoreWriter::CopyShard(const Store& store, Index s, Index source) {
  const auto index = static_cast<Index>(shards_.size());
  ShardInfo shard = store.shard(s);
  for (const auto& [from, to, checksum] :
       {std::tuple{shard.file, ShardFile(index), shard.checksum},
        std::tuple{shard.items_file, ItemsFile(index), shard.items_checksum}}) {
    const MappedFile file(store.directory() / from);
    if (HashBytes(file.bytes()) != checksum) CheckHash(file.path(), checksum);
    WriteFileAtomically(directory_.path() / to, file.bytes());
  }
  shard.file = ShardFile(index);
  shard.items_file = ItemsFile(index);
  shard.source = source;
  info_.images += shard.images;
  shards_.push_back(std::move(shard));
}

void StoreWriter::Finish(const Statistics& statistics, const CertificateSummary& certificate) {
  if (info_.stats_only) info_.images = statistics.images();
  info_.certificate = certificate;
  const std::string checksum = statistics.Write(directory_.path() / kStatisticsFile);
  const Json manifest = ManifestJson(info_, shards_, checksum, basis_checksum_);
  WriteFileAtomically(directory_.path() / kManifestFile, DumpJson(manifest, 2) + "\n");
  directory_.Commit();
}

void MergeStores(std::span<const fs::path> inputs, const fs::path& output) {
  if (inputs.size() < 2) {
    throw Error(ErrorCode::kInvalidArgument, "merge needs at least two stores, {} given",
                inputs.size());
  }
  std::vector<Store> stores;
  for (const fs::path& path : inputs) stores.push_back(Store::Open(path));
  const Store& first = stores.front();
  StoreInfo info = first.info();
  info.images = 0;
  info.data.clear();
  std::set<std::pair<std::string, std::string>> seen;
  for (const Store& store : stores) {
    const std::string difference = FingerprintDifference(first.info(), store.info());
    if (!difference.empty()) {
      throw Error(ErrorCode::kInvalidArgument, "{} and {} cannot be merged: {}",
                  first.directory().string(), store.directory().string(), difference);
    }
    for (const DataSource& source : store.info().data) {
      const auto same = std::ranges::find_if(info.data, [&](const DataSource& d) {
        return d.kind == source.kind && d.root == source.root;
      });
      if (same == info.data.end()) {
        info.data.push_back(source);
      } else {
        same->images += source.images;
      }
    }
    if (store.info().stats_only) {
      // Pictures are not listed here; a store given twice still shows by its sums.
      if (!seen.emplace("", HashFile(store.directory() / kStatisticsFile)).second) {
        throw Error(ErrorCode::kInvalidArgument,
                    "{}: another of these stores has the same statistics; a picture must be "
                    "counted once",
                    store.directory().string());
      }
      continue;
    }
    const std::vector<Item> items = store.ReadItems();
    std::size_t at = 0;
    for (Index s = 0; s < store.num_shards(); ++s) {
      const std::string& root =
          store.info().data[static_cast<std::size_t>(store.shard(s).source)].root;
      for (Index i = 0; i < store.shard(s).images; ++i, ++at) {
        if (!seen.emplace(root, items[at].path).second) {
          throw Error(ErrorCode::kInvalidArgument,
                      "{}: picture {} of {} is in another of these stores too; a picture must be "
                      "counted once",
                      store.directory().string(), items[at].path, root);
        }
      }
    }
  }
  StoreWriter writer(output, first.basis(), info);
  Statistics statistics = first.statistics();
  CertificateSummary certificate;
  double images = 0;
  for (std::size_t i = 0; i < stores.size(); ++i) {
    const Store& store = stores[i];
    if (i > 0) statistics.Merge(store.statistics(), first.basis());
    const auto count = static_cast<double>(store.info().images);
    certificate.max = std::max(certificate.max, store.info().certificate.max);
    certificate.mean += store.info().certificate.mean * count;
    images += count;
    for (Index s = 0; s < store.num_shards(); ++s) {
      const DataSource& source = store.info().data[static_cast<std::size_t>(store.shard(s).source)];
      const auto at = std::ranges::find_if(info.data, [&](const DataSource& d) {
        return d.kind == source.kind && d.root == source.root;
      });
      writer.CopyShard(store, s, at - info.data.begin());
    }
  }
  certificate.mean /= std::max(images, 1.0);
  writer.Finish(statistics, certificate);
}

void ExportNpy(const Store& store, const fs::path& directory) {
  NeedFactors(store.info(), store.directory());
  const Basis& basis = store.basis();
  const Index layers = basis.layers();
  const Index heads = basis.num_heads();
  const Index width = basis.embed_width();
  const Index images = store.info().images;
  PartialDirectory out(directory);
  {
    NpyWriter attn(out.path() / "attn.npy", {images, layers, heads, width});
    NpyWriter mlp(out.path() / "mlp.npy", {images, layers + 1, width});
    NpyWriter cls(out.path() / "cls_attn.npy", {images, layers, width});
    NpyWriter embedding(out.path() / "embedding.npy", {images, width});
    std::vector<Matrix> bases;
    for (Index l = 0; l < layers; ++l) {
      for (Index h = 0; h < heads; ++h)
        bases.push_back(AsEigen(basis.heads.view()[l][h]).cast<double>());
    }
    std::vector<double> factor(static_cast<std::size_t>(basis.factor_width()));
    std::vector<float> row(static_cast<std::size_t>(layers * heads * width));
    for (Index s = 0; s < store.num_shards(); ++s) {
      const FactorBlock block = store.ReadShard(s);
      for (Index b = 0; b < block.images(); ++b) {
        const std::span<const float> ln = block.ln.row(b);
        for (Index i = 0; i < layers * heads; ++i) {
          FillFactor(block.head_z.view()[i / heads][i % heads].row(b), ln[0], ln[1], ln[2], factor);
          const Eigen::Map<const Vector> u(factor.data(), basis.factor_width());
          const Vector c = bases[static_cast<std::size_t>(i)].transpose() * u;
          for (Index k = 0; k < width; ++k) {
            row[static_cast<std::size_t>(i * width + k)] = static_cast<float>(c[k]);
          }
        }
        attn.Append(row);
        for (Index j = 0; j <= layers; ++j) mlp.Append(block.mlp[j].row(b));
        for (Index j = 0; j < layers; ++j) cls.Append(block.cls_attn[j].row(b));
      }
      embedding.Append(block.embedding.flat());
    }
    attn.Finish();
    mlp.Finish();
    cls.Finish();
    embedding.Finish();
  }
  std::string lines;
  for (const Item& item : store.ReadItems()) lines += ItemLine(item);
  WriteFileAtomically(out.path() / "items.jsonl", lines);
  out.Commit();
}

}  // namespace cliplens
