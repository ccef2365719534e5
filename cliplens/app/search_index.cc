#include "cliplens/app/search_index.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/sealed_json.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr char kFormat[] = "cliplens.index/3";
constexpr Index kShardsAtOnce = 8;  // whose vectors are computed before they are added

fs::path DescriptionPath(const fs::path& path) { return path.string() + ".json"; }

// What makes a store itself: its manifest names the checksum of every other file.
std::string StoreDigest(const Store& store) {
  return HashBytes(ReadFile(store.directory() / kManifestFile, kMaxManifestBytes));
}

template <typename T>
T Known(const std::optional<T>& value, const std::string& name, const std::string& place) {
  if (value) return *value;
  throw Error(ErrorCode::kCorruptData, "{}: '{}' is unknown; make the index again", place,
              Printable(name));
}

Array<float, 2> DirectionsOf(const Json& rows, Index width, const std::string& place) {
  if (static_cast<Index>(rows.size()) > width) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} directions in a space of {} numbers; make the index again", place,
                rows.size(), width);
  }
  Array<float, 2> directions({static_cast<Index>(rows.size()), width});
  for (Index i = 0; i < directions.dim(0); ++i) {
    const Json& row = At(rows, i);
    if (!row.is_array() || static_cast<Index>(row.size()) != width ||
        !std::ranges::all_of(
            row, [](const Json& v) { return v.is_number() && std::isfinite(v.get<float>()); })) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: direction {} is not a list of {} numbers; make the index again", place, i,
                  width);
    }
    for (Index k = 0; k < width; ++k) {
      directions(i, k) = At(row, k).get<float>();
    }
  }
  return directions;
}

}  // namespace

std::vector<fs::path> SearchIndexFiles(const fs::path& path) {
  return {path, DescriptionPath(path)};
}

void WriteSearchIndex(const fs::path& path, OutputFiles& files, const Store& store,
                      const SearchSpace& space, int threads, const ProgressSink& progress) {
  const SearchVectors vectors(store, space);
  FlatIndex index(vectors.width());
  for (Index first = 0; first < store.num_shards(); first += kShardsAtOnce) {
    const Index count = std::min(kShardsAtOnce, store.num_shards() - first);
    std::vector<Array<float, 2>> rows(ToSize(count));
    ParallelFor(threads, count, [&](Index s, int) { At(rows, s) = vectors.OfShard(first + s); });
    for (const Array<float, 2>& some : rows) index.Add(some);
    if (progress) progress(first + count, store.num_shards());
  }
  Json heads = Json::array();
  for (const HeadId id : space.heads) heads.push_back(HeadName(id));
  Json directions = Json::array();
  for (Index i = 0; i < space.directions.dim(0); ++i) {
    directions.push_back(space.directions.row(i));
  }
  const std::string checksum = index.Write(path, files);
  files.Write(DescriptionPath(path), SealJson({{"format", kFormat},
                                               {"store", StoreDigest(store)},
                                               {"model_fingerprint", store.info().fingerprint},
                                               {"images", index.rows()},
                                               {"width", index.width()},
                                               {"heads", std::move(heads)},
                                               {"weights", space.weights},
                                               {"directions", std::move(directions)},
                                               {"definition", NameOf(space.definition)},
                                               {"measure", NameOf(space.measure)},
                                               {"index_checksum", checksum}}));
}

SearchIndex ReadSearchIndex(const fs::path& path, const Store& store) {
  const fs::path description = DescriptionPath(path);
  const std::string place = description.string();
  if (Exists(path) && !Exists(description)) {
    throw Error(ErrorCode::kNotFound,
                "{}: is not there, so nothing says what {} holds; remove that, or name another "
                "index",
                PathText(description), PathText(path));
  }
  const Json json = ReadSealedJson(description, Index{64} << 20);
  const auto format = JsonField<std::string>(json, "format", place);
  if (format != kFormat) {
    throw Error(ErrorCode::kCorruptData, "{}: its format is {}, not {}; make the index again",
                place, JsonExcerpt(json["format"]), kFormat);
  }
  if (JsonField<std::string>(json, "store", place) != StoreDigest(store)) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: an index of another store than {}; make one with 'cliplens export {} --format "
                "faiss'",
                path.string(), store.directory().string(), store.directory().string());
  }
  SearchSpace space;
  for (const Json& head : JsonList(json, "heads", place)) {
    const auto name = head.is_string() ? head.get<std::string>() : JsonExcerpt(head);
    const std::vector<HeadId> parsed = ParseHeads(name, store.basis().components());
    space.heads.insert(space.heads.end(), parsed.begin(), parsed.end());
  }
  for (const Json& weight : JsonList(json, "weights", place)) {
    if (!weight.is_number() || !std::isfinite(weight.get<double>())) {
      throw Error(ErrorCode::kCorruptData, "{}: {} is no weight of a head; make the index again",
                  place, JsonExcerpt(weight));
    }
    space.weights.push_back(weight.get<double>());
  }
  space.directions =
      DirectionsOf(JsonList(json, "directions", place), store.basis().embed_width(), place);
  const auto definition = JsonField<std::string>(json, "definition", place);
  space.definition = Known(DefinitionNamed(definition), definition, place);
  const auto measure = JsonField<std::string>(json, "measure", place);
  space.measure = Known(MeasureNamed(measure), measure, place);
  const auto images = JsonField<std::int64_t>(json, "images", place);
  const auto width = JsonField<std::int64_t>(json, "width", place);
  const Index wanted = SearchVectors(store, space).width();
  if (images != store.info().images || width != wanted) {
    throw Error(ErrorCode::kCorruptData,
                "{}: {} vectors of {} numbers, the store has {} pictures in {} numbers; make the "
                "index again",
                place, images, width, store.info().images, wanted);
  }
  return {std::move(space), FlatIndex::Read(path, images, width,
                                            JsonField<std::string>(json, "index_checksum", place))};
}

std::vector<ScoredItem> Search(const SearchIndex& index, std::span<const float> query,
                               const SearchOptions& options) {
  const auto excluded = static_cast<Index>(options.exclude.size());
  std::vector<ScoredItem> found;
  for (const FlatIndex::Found& f : index.vectors.Search(query, options.count + excluded)) {
    if (std::ranges::find(options.exclude, f.row) != options.exclude.end()) continue;
    if (static_cast<Index>(found.size()) == options.count) break;
    found.push_back({f.row, static_cast<double>(f.score)});
  }
  return found;
}

}  // namespace cliplens
