#include "cliplens/decompose/manifest.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/decompose/factor_block.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/sealed_json.h"
#include "cliplens/model/preprocess_config.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

constexpr char kStoreFormat[] = "cliplens.store/3";
constexpr char kNeuronFormat[] = "cliplens.neurons/1";
constexpr Index kNeuronFormatVersion = 1;
constexpr Index kMaxLayers = 10'000;
constexpr Index kMaxImages = Index{1} << 40;
constexpr Index kMaxItemsBytes = Index{1} << 30;

Index Number(const Json& object, const char* key, Index high, const std::string& name) {
  const auto n = JsonField<std::int64_t>(object, key, name);
  if (n < 0 || n > high) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, outside of 0 to {}", name, key, n, high);
  }
  return Index{n};
}

std::string Text(const Json& object, const char* key, const std::string& name) {
  return JsonField<std::string>(object, key, name);
}

}  // namespace

Json DataJson(const DataSource& source) {
  Json json = {{"kind", source.kind}, {"root", source.root}};
  if (!source.split.empty()) json["split"] = source.split;
  if (!source.path_column.empty()) json["path_column"] = source.path_column;
  if (source.allow_absolute) json["allow_absolute"] = true;
  if (source.exif_orientation) json["exif_orientation"] = true;
  json["images"] = source.images;
  json["set_images"] = source.set_images;
  json["set_checksum"] = source.set_checksum;
  json["shard_images"] = source.shard_images;
  for (const auto& [kind, files] : source.left_out.passed_over) {
    json["passed_over"].push_back({{"kind", kind}, {"files", files}});
  }
  for (const LeftOut::Unread& unread : source.left_out.unread) {
    json["unread"].push_back({{"path", unread.path}, {"message", unread.message}});
  }
  return json;
}

DataSource ParseData(const Json& json, const std::string& name) {
  DataSource source;
  source.kind = Text(json, "kind", name);
  source.root = Text(json, "root", name);
  if (json.contains("split")) source.split = Text(json, "split", name);
  if (json.contains("exif_orientation")) {
    source.exif_orientation = JsonField<bool>(json, "exif_orientation", name);
  }
  source.images = Number(json, "images", kMaxImages, name);
  if (json.contains("path_column")) source.path_column = Text(json, "path_column", name);
  if (json.contains("allow_absolute")) {
    source.allow_absolute = JsonField<bool>(json, "allow_absolute", name);
  }
  if (json.contains("passed_over")) {
    for (const Json& counted : JsonList(json, "passed_over", name)) {
      source.left_out.PassOverKind(Text(counted, "kind", name),
                                   Number(counted, "files", kMaxImages, name));
    }
  }
  if (json.contains("unread")) {
    for (const Json& unread : JsonList(json, "unread", name)) {
      source.left_out.unread.push_back({Text(unread, "path", name), Text(unread, "message", name)});
    }
  }
  source.set_images = Number(json, "set_images", kMaxImages, name);
  source.set_checksum = Text(json, "set_checksum", name);
  source.shard_images = Number(json, "shard_images", Index{1} << 24, name);
  if (source.shard_images == 0 || source.images > source.set_images) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} of {} pictures of a set in shards of {}; make it again", name,
                source.images, source.set_images, source.shard_images);
  }
  return source;
}

namespace {

Json NeuronsJson(const NeuronRun& run) {
  Json json = {{"first_layer", run.layers.begin}, {"end_layer", run.layers.end}, {"top", run.top}};
  if (run.text) json["tower"] = "text";
  return json;
}

NeuronRun ParseNeurons(const Json& json, const std::string& name) {
  NeuronRun run;
  run.layers = {Number(json, "first_layer", kMaxLayers, name),
                Number(json, "end_layer", kMaxLayers, name)};
  run.top = Number(json, "top", kMaxImages, name);
  run.text = json.contains("tower") && Text(json, "tower", name) == "text";
  if (run.layers.empty() || run.top == 0) {
    throw Error(ErrorCode::kCorruptData, "{}: neurons of layers {} to {}, {} pictures of each",
                name, run.layers.begin, run.layers.end, run.top);
  }
  return run;
}

// Both kinds: format and version.
std::pair<const char*, Index> FormatOf(StoreKind kind) {
  if (kind == StoreKind::kNeurons) return {kNeuronFormat, kNeuronFormatVersion};
  return {kStoreFormat, kStoreFormatVersion};
}

Json PartJson(const StorePart& part) { return {{"index", part.index}, {"of", part.parts}}; }

Json ModelJson(const StoreInfo& info) {
  Json model = {{"name", info.model_name},
                {"path", info.model_path},
                {"architecture", info.model_architecture},
                {"fingerprint", info.fingerprint},
                {"config", info.model_config}};
  if (!info.model_weights.empty()) model["weights"] = info.model_weights;
  const PictureChoice& pictures = info.model_pictures;
  if (pictures.image_size > 0) model["image_size"] = pictures.image_size;
  if (pictures.backend != ResizeBackend::kPillow)
    model["resize_backend"] = NameOf(pictures.backend);
  return model;
}

std::vector<std::uint8_t> HalvesOf(std::span<const float> values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(std::uint16_t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = FloatToHalf(values[i]);
    std::memcpy(bytes.data() + i * sizeof(half), &half, sizeof(half));
  }
  return bytes;
}

std::string Shown(const Json& value) { return Printable(DumpJson(value), 200); }

}  // namespace

std::string ShardFile(Index s) { return fmt::format("shard-{:05d}.safetensors", s); }
std::string ItemsFile(Index s) { return fmt::format("items-{:05d}.jsonl", s); }

bool IsStoreFile(const std::string& name) {
  const auto numbered = [&](const std::string& before, const std::string& after) {
    return name.size() > before.size() + after.size() && name.starts_with(before) &&
           name.ends_with(after) &&
           std::all_of(name.begin() + static_cast<std::ptrdiff_t>(before.size()),
                       name.end() - static_cast<std::ptrdiff_t>(after.size()),
                       [](char c) { return c >= '0' && c <= '9'; });
  };
  return name == kManifestFile || name == kProgressFile || name == kStatisticsFile ||
         name == kBasisFile || numbered("shard-", ".safetensors") || numbered("items-", ".jsonl") ||
         numbered("progress-", ".safetensors") || numbered("skipped-", ".jsonl") ||
         (name.starts_with(".cliplens-") && name.ends_with(".tmp"));
}

const char* NameOf(StoreType type) { return type == StoreType::kF16 ? "fp16" : "fp32"; }

void CheckCertificate(double certificate, StoreType type, const std::string& item) {
  const double bound = CertificateBound(type);
  if (certificate <= bound) return;
  throw Error(
      ErrorCode::kUnsupported,
      "{}: the contributions add up to the embedding within {:.1e} of its length, the bound "
      "in {} is {:.0e}; {}",
      item, certificate, NameOf(type), bound,
      type == StoreType::kF16 ? "the factors are too small for halves: store them as fp32"
                              : "the model's contributions cancel out: check the weights");
}

Json ItemJson(const Item& item) {
  Json line = {{"path", item.path}};
  if (item.label) line["label"] = *item.label;
  if (!item.attributes.empty()) line["attributes"] = item.attributes;
  if (!item.problem.empty()) line["problem"] = item.problem;
  return line;
}

std::string ItemLine(const Item& item) { return DumpJson(ItemJson(item)) + "\n"; }

Item ParseItem(const Json& line, const std::string& where) {
  Item item;
  item.path = JsonField<std::string>(line, "path", where);
  if (line.contains("label")) item.label = JsonField<std::string>(line, "label", where);
  if (line.contains("attributes")) {
    item.attributes = line["attributes"];
    if (!item.attributes.is_object()) {
      throw Error(ErrorCode::kCorruptData, "{}: \"attributes\" must be an object, it is {}", where,
                  JsonExcerpt(item.attributes));
    }
  }
  if (line.contains("problem")) item.problem = JsonField<std::string>(line, "problem", where);
  return item;
}

std::string HashFile(const fs::path& path) {
  Hasher hasher;
  RandomAccessFile(path).ReadAll(
      [&](std::span<const std::uint8_t> block) { hasher.Update(block); });
  return hasher.Digest();
}

void CheckHash(const fs::path& path, const std::string& expected) {
  const std::string found = HashFile(path);
  if (found != expected) {
    throw Error(ErrorCode::kCorruptData,
                "{}: its checksum is {}, the manifest says {}; the file was changed or damaged: "
                "restore it or make it again",
                path.string(), found, expected);
  }
}

Json ShardJson(const ShardInfo& shard) {
  return {{"file", shard.file},
          {"images", shard.images},
          {"checksum", shard.checksum},
          {"items", shard.items_file},
          {"items_checksum", shard.items_checksum},
          {"data", shard.source},
          {"range", shard.range}};
}

ShardInfo ParseShard(const Json& json, Index index, const std::string& name) {
  ShardInfo shard;
  shard.file = Text(json, "file", name);
  shard.items_file = Text(json, "items", name);
  shard.images = Number(json, "images", Index{1} << 24, name);
  shard.checksum = Text(json, "checksum", name);
  shard.items_checksum = Text(json, "items_checksum", name);
  shard.source = Number(json, "data", kMaxImages, name);
  shard.range = Number(json, "range", kMaxImages, name);
  // Names are fixed, so a manifest cannot send a reader elsewhere.
  if (shard.file != ShardFile(index) || shard.items_file != ItemsFile(index)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: shard {} names '{}' and '{}'; '{}' and '{}' were expected", name, index,
                shard.file, shard.items_file, ShardFile(index), ItemsFile(index));
  }
  return shard;
}

Json SkippedJson(const SkippedPicture& picture) {
  return {{"index", picture.index}, {"path", picture.path}, {"message", picture.message}};
}

SkippedPicture ParseSkipped(const Json& json, const std::string& name) {
  return {Number(json, "index", kMaxImages, name), Text(json, "path", name),
          Text(json, "message", name)};
}

Json RunJson(const StoreInfo& info) {
  Json data = Json::array();
  for (const DataSource& source : info.data) {
    Json entry = DataJson(source);
    // What may change without another result.
    for (const char* key : {"images", "passed_over", "unread"}) entry.erase(key);
    data.push_back(std::move(entry));
  }
  Json run = {{"model", ModelJson(info)},
              {"precision", info.precision},
              {"store_dtype", NameOf(info.type)},
              {"stats_only", info.stats_only},
              {"slices", info.slices},
              {"data", data},
              {"part", info.part ? PartJson(*info.part) : Json()}};
  if (info.neurons) run["neurons"] = NeuronsJson(*info.neurons);
  if (info.level != Level::kBlocks) run["level"] = NameOf(info.level);
  return run;
}

std::string JsonDifference(const Json& a, const Json& b, const std::string& place) {
  if (a == b) return "";
  const auto below = [&](const std::string& key) {
    return place.empty() ? key : place + "." + key;
  };
  if (a.is_object() && b.is_object()) {
    for (const auto& [key, value] : a.items()) {
      const auto other = b.find(key);
      std::string difference =
          JsonDifference(value, other == b.end() ? Json() : *other, below(key));
      if (!difference.empty()) return difference;
    }
    for (const auto& [key, value] : b.items()) {
      if (!a.contains(key)) return JsonDifference(Json(), value, below(key));
    }
    return "";  // only the order differs
  }
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::string difference = JsonDifference(a[i], b[i], fmt::format("{}[{}]", place, i));
      if (!difference.empty()) return difference;
    }
  }
  return fmt::format("'{}' is {} and {}", place, Shown(a), Shown(b));
}

void CheckSameRun(const Json& wanted, const Json& found, const std::string& place) {
  const std::string difference = JsonDifference(wanted, found);
  if (difference.empty()) return;
  throw Error(ErrorCode::kInvalidArgument,
              "{}: is of another run: {} (asked for, and there); give the same arguments, name "
              "another directory, or remove it",
              place, difference);
}

void CheckSameRun(const StoreInfo& wanted, const StoreInfo& found, const std::string& place) {
  CheckSameRun(RunJson(wanted), RunJson(found), place);
}

std::string ManifestText(const Manifest& manifest) {
  const StoreInfo& info = manifest.info;
  const auto [format, version] = FormatOf(info.kind());
  Json json = {{"format", format},
               {"version", version},
               {"model", ModelJson(info)},
               {"precision", info.precision},
               {"store_dtype", NameOf(info.type)},
               {"stats_only", info.stats_only},
               {"images", info.images},
               {"slices", info.slices},
               {"certificate", {{"max", info.certificate.max}, {"mean", info.certificate.mean}}}};
  if (info.neurons) json["neurons"] = NeuronsJson(*info.neurons);
  if (info.factor_constants != FactorLayout{}.constants) {
    json["factor_constants"] = info.factor_constants;
  }
  if (info.level != Level::kBlocks) json["level"] = NameOf(info.level);
  if (info.part) json["part"] = PartJson(*info.part);
  json["data"] = Json::array();
  for (const DataSource& source : info.data) json["data"].push_back(DataJson(source));
  if (!info.skipped.empty()) {
    json["skipped"] = Json::array();
    for (const SkippedItem& skipped : info.skipped) {
      Json entry = SkippedJson(skipped.picture);
      entry["data"] = skipped.source;
      json["skipped"].push_back(std::move(entry));
    }
  }
  json["statistics"] = {{"file", kStatisticsFile}, {"checksum", manifest.statistics_checksum}};
  json["basis"] = {{"file", kBasisFile}, {"checksum", manifest.basis_checksum}};
  json["shards"] = Json::array();
  for (const ShardInfo& shard : manifest.shards) json["shards"].push_back(ShardJson(shard));
  return SealJson(std::move(json));
}

namespace {

const char* CommandOf(StoreKind kind) {
  return kind == StoreKind::kNeurons ? "cliplens neurons collect" : "cliplens decompose";
}

// The sealed JSON of a manifest of this version.
Json ReadManifestJson(const fs::path& directory, StoreKind kind) {
  RefuseAddress(directory);
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: no such store; make one with: {} MODEL --images PATH --out {}",
                directory.string(), CommandOf(kind), directory.string());
  }
  const fs::path path = directory / kManifestFile;
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: there is no {} in it, so it is no store; make one with: {}",
                directory.string(), kManifestFile, CommandOf(kind));
  }
  const std::string name = path.string();
  bool unsealed = false;
  Json json = ReadSealedJson(path, kMaxManifestBytes, &unsealed);
  const std::string format = Text(json, "format", name);
  const auto [own, own_version] = FormatOf(kind);
  const bool neurons = kind == StoreKind::kNeurons;
  if (format == FormatOf(neurons ? StoreKind::kFactors : StoreKind::kNeurons).first) {
    throw Error(ErrorCode::kUnsupported, "{}: is a store {}; {}", directory.string(),
                neurons ? "of heads and MLPs, not of neurons" : "of neurons, not of heads and MLPs",
                neurons ? "make one of neurons with: cliplens neurons collect"
                        : "read it with: cliplens neurons");
  }
  const Index version = Number(json, "version", 1'000'000, name);
  if (format != own || version != own_version) {
    throw Error(ErrorCode::kUnsupported,
                "{}: format {} version {}, this program reads {} version {}; make it again or "
                "use the program that wrote it",
                name, Printable(format), version, own, own_version);
  }
  if (unsealed) {
    throw Error(ErrorCode::kCorruptData,
                "{}: its checksum is missing, so it was changed; restore it or make it again",
                name);
  }
  return json;
}

// The model, and how its pictures are stored.
void ParseRun(const Json& json, const std::string& name, StoreInfo& info) {
  const Json model = JsonField<Json>(json, "model", name);
  info.model_name = Text(model, "name", name);
  info.model_path = Text(model, "path", name);
  info.model_architecture = Text(model, "architecture", name);
  if (model.contains("weights")) info.model_weights = Text(model, "weights", name);
  if (model.contains("image_size")) {
    info.model_pictures.image_size = Number(model, "image_size", kMaxImageSize, name);
  }
  if (model.contains("resize_backend")) {
    const std::string backend = Text(model, "resize_backend", name);
    if (backend != NameOf(ResizeBackend::kTorchvision)) {
      throw Error(
          ErrorCode::kUnsupported,
          "{}: 'resize_backend' is '{}'; torchvision is known, and Pillow where it is absent", name,
          Printable(backend));
    }
    info.model_pictures.backend = ResizeBackend::kTorchvision;
  }
  info.fingerprint = Text(model, "fingerprint", name);
  info.model_config = JsonField<Json>(model, "config", name);
  info.precision = Text(json, "precision", name);
  const std::string type = Text(json, "store_dtype", name);
  if (type != "fp32" && type != "fp16") {
    throw Error(ErrorCode::kUnsupported, "{}: 'store_dtype' is '{}'; fp32 and fp16 are known", name,
                Printable(type));
  }
  info.type = type == "fp16" ? StoreType::kF16 : StoreType::kF32;
  info.stats_only = JsonField<bool>(json, "stats_only", name);
  if (json.contains("neurons")) {
    info.neurons = ParseNeurons(JsonField<Json>(json, "neurons", name), name);
  }
  info.images = Number(json, "images", kMaxImages, name);
  info.slices = Number(json, "slices", 4'096, name);
  if (info.slices == 0) {
    throw Error(ErrorCode::kCorruptData, "{}: 0 slices, statistics have one at least", name);
  }
  if (json.contains("factor_constants")) {
    info.factor_constants = Number(json, "factor_constants", 3, name);
    if (info.factor_constants != 0 && info.factor_constants != 3) {
      throw Error(ErrorCode::kUnsupported, "{}: 'factor_constants' is {}; 0 and 3 are known", name,
                  info.factor_constants);
    }
  }
  if (json.contains("level")) {
    const std::string level = Text(json, "level", name);
    if (level != NameOf(Level::kPool)) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: 'level' is '{}'; pool is known, and the blocks' where it is absent", name,
                  Printable(level));
    }
    info.level = Level::kPool;
  }
  const Json certificate = JsonField<Json>(json, "certificate", name);
  info.certificate = {JsonField<double>(certificate, "max", name),
                      JsonField<double>(certificate, "mean", name)};
}

// The sets that went in, and what could not be read of them.
void ParseSets(const Json& json, const std::string& name, StoreInfo& info) {
  if (json.contains("part")) {
    const Json part = JsonField<Json>(json, "part", name);
    info.part = {Number(part, "index", 1'000'000, name), Number(part, "of", 1'000'000, name)};
    if (info.part->index >= info.part->parts) {
      throw Error(ErrorCode::kCorruptData, "{}: part {} of {}; parts count from 0", name,
                  info.part->index, info.part->parts);
    }
  }
  for (const Json& d : JsonList(json, "data", name)) info.data.push_back(ParseData(d, name));
  if (!json.contains("skipped")) return;
  for (const Json& s : JsonList(json, "skipped", name)) {
    info.skipped.push_back({Number(s, "data", kMaxImages, name), ParseSkipped(s, name)});
  }
}

// Whether sets, shards and counts belong together.
void CheckCounts(const Manifest& manifest, const std::string& name) {
  const StoreInfo& info = manifest.info;
  const auto check_source = [&](Index source) {
    if (source >= static_cast<Index>(info.data.size())) {
      throw Error(ErrorCode::kCorruptData, "{}: 'data' {} is named, {} are there", name, source,
                  info.data.size());
    }
  };
  Index in_sets = 0;
  Index in_shards = 0;
  for (const DataSource& source : info.data) in_sets += source.images;
  for (const SkippedItem& skipped : info.skipped) check_source(skipped.source);
  for (const ShardInfo& shard : manifest.shards) {
    check_source(shard.source);
    in_shards += shard.images;
  }
  if (in_sets != info.images || (!info.stats_only && in_shards != info.images)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} pictures, its sets have {} and its shards {}; make it again", name,
                info.images, in_sets, in_shards);
  }
}

}  // namespace

std::optional<StoreKind> KindOf(const fs::path& directory) {
  try {
    const fs::path path = directory / kManifestFile;
    bool unsealed = false;
    const Json json = ReadSealedJson(path, kMaxManifestBytes, &unsealed);
    const std::string format = Text(json, "format", path.string());
    for (const StoreKind kind : {StoreKind::kFactors, StoreKind::kNeurons}) {
      if (format == FormatOf(kind).first) return kind;
    }
  } catch (const Error&) {
    return std::nullopt;  // the reader tells
  }
  return std::nullopt;
}

Manifest ReadManifest(const fs::path& directory, StoreKind kind) {
  const Json json = ReadManifestJson(directory, kind);
  const std::string name = (directory / kManifestFile).string();
  Manifest manifest;
  ParseRun(json, name, manifest.info);
  ParseSets(json, name, manifest.info);
  if (manifest.info.kind() != kind) {
    throw Error(ErrorCode::kCorruptData, "{}: does not say whose neurons it holds", name);
  }
  for (const Json& s : JsonList(json, "shards", name)) {
    manifest.shards.push_back(ParseShard(s, static_cast<Index>(manifest.shards.size()), name));
  }
  CheckCounts(manifest, name);
  const auto checksum = [&](const char* key) {
    return Text(JsonField<Json>(json, key, name), "checksum", name);
  };
  manifest.statistics_checksum = checksum("statistics");
  manifest.basis_checksum = checksum("basis");
  return manifest;
}

ShardTensors TensorsOf(const FactorBlock& block, StoreType type) {
  ShardTensors shard;
  shard.halves.reserve(5);
  const auto add = [&]<std::size_t R>(const char* name, const Array<float, R>& a,
                                      StoreType stored) {
    const bool halves = stored == StoreType::kF16;
    if (halves) shard.halves.push_back(HalvesOf(a.flat()));
    shard.tensors.push_back(
        {name,
         halves ? DataType::kF16 : DataType::kF32,
         {a.shape().begin(), a.shape().end()},
         halves ? std::span<const std::uint8_t>(shard.halves.back()) : AsBytes(a.flat())});
  };
  add("head_z", block.head_z, type);
  add("ln", block.ln, StoreType::kF32);  // every factor is divided by these
  add("mlp", block.mlp, type);
  add("cls_attn", block.cls_attn, type);
  add("embedding", block.embedding, type);
  return shard;
}

FactorBlock ReadShardFile(const SafetensorsFile& file, const Basis& basis, Index images) {
  FactorBlock block;
  block.constants = basis.layout().constants;
  const Index layers = basis.layers();
  const Index width = basis.embed_width();
  // Memory is allocated by what the file holds, not by what it claims.
  const auto read = [&]<std::size_t R>(const char* name, Array<float, R>& out, Shape<R> shape) {
    const TensorEntry& entry = file.at(name);
    const std::vector<Index> expected(shape.begin(), shape.end());
    if (entry.shape != expected) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' has shape {}, the manifest asks for {}; make it again",
                  file.path().string(), name, ShapeText(entry.shape), ShapeText(expected));
    }
    out = Array<float, R>(shape, file.ReadAsFloat(entry));
  };
  read("head_z", block.head_z, {layers, basis.num_heads(), images, basis.head_width()});
  read("ln", block.ln, {images, 3});
  read("mlp", block.mlp, {basis.components().num_residual(), images, width});
  read("cls_attn", block.cls_attn, {layers, images, width});
  read("embedding", block.embedding, {images, width});
  return block;
}

std::vector<Item> ParseItems(std::string_view text, const std::string& name) {
  std::vector<Item> items;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string where = fmt::format("{}: line {}", name, items.size() + 1);
    items.push_back(ParseItem(ParseJson(text.substr(begin, end - begin), where), where));
    begin = end + 1;
  }
  return items;
}

std::vector<Item> ReadItemsFile(const fs::path& path, Index images, const std::string& checksum) {
  const std::string text = ReadTextFile(path, kMaxItemsBytes);
  if (HashBytes(AsBytes(text)) != checksum) CheckHash(path, checksum);
  std::vector<Item> items = ParseItems(text, path.string());
  if (static_cast<Index>(items.size()) != images) {
    throw Error(ErrorCode::kCorruptData, "{}: {} lines, the manifest says {}; make it again",
                path.string(), items.size(), images);
  }
  return items;
}

}  // namespace cliplens
