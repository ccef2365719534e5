#include "cliplens/app/label_file.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

std::string TextOrNone(const Json& head, const char* key, const std::string& place) {
  if (head.contains(key) && head[key].is_null()) return {};
  return JsonField<std::string>(head, key, place);
}

[[noreturn]] void RefuseTwice(HeadId id, const std::string& place) {
  throw Error(ErrorCode::kCorruptData, "{}: it has {} twice", place, HeadName(id));
}

std::vector<HeadShare> IndexOf(const Json& list, const ModelHeads& all, const std::string& place) {
  std::vector<HeadShare> index;
  for (const Json& head : list) {
    const HeadShare share{all.HeadNamed(JsonField<std::string>(head, "head", place), place),
                          JsonField<double>(head, "share", place)};
    if (!(share.share > 0 && share.share <= 1)) {
      throw Error(ErrorCode::kCorruptData, "{}: {} has a share of {}, which is not in (0, 1]",
                  place, HeadName(share.id), share.share);
    }
    index.push_back(share);
  }
  std::ranges::sort(index, {}, &HeadShare::id);
  const auto twice = std::ranges::adjacent_find(index, {}, &HeadShare::id);
  if (twice != index.end()) RefuseTwice(twice->id, place);
  return index;
}

std::vector<std::string> ListOfTexts(const Json& list, const char* what, const std::string& place) {
  std::vector<std::string> texts;
  for (const Json& text : list) {
    if (!text.is_string()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: {} is no {}; write the labels again with 'cliplens label'", place,
                  JsonExcerpt(text), what);
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

// Whose labels these are.
LabelFile OpeningOf(const Json& json, const std::string& place) {
  LabelFile file;
  file.place = place;
  const auto format = JsonField<std::string>(json, "format", place);
  if (format != "cliplens.label/3") {
    throw Error(ErrorCode::kCorruptData,
                "{}: its format is {}, not cliplens.label/3; write one with 'cliplens label STORE "
                "--out FILE'",
                place, JsonExcerpt(json["format"]));
  }
  const Json model = JsonField<Json>(json, "model", place);
  file.model_name = JsonField<std::string>(model, "name", place);
  file.fingerprint = JsonField<std::string>(model, "fingerprint", place);
  return file;
}

// The property's place in the file.
std::size_t PlaceOf(const LabelFile& labels, const std::string& property) {
  const auto found = std::ranges::find(labels.properties, property);
  if (found != labels.properties.end()) {
    return ToSize(found - labels.properties.begin());
  }
  std::vector<std::string> names;
  for (const std::string& name : labels.properties) names.push_back(Printable(name));
  throw Error(ErrorCode::kInvalidArgument, "{}: there is no property '{}'; it has {}", labels.place,
              Printable(property), fmt::join(names, ", "));
}

}  // namespace

HeadId ModelHeads::HeadNamed(const std::string& name, const std::string& place) const {
  const std::vector<HeadId> parsed = Parse(name);
  if (parsed.size() == 1 && HeadName(parsed.front()) == name) return parsed.front();
  throw Error(ErrorCode::kCorruptData, "{}: '{}' is no name of one head", place, Printable(name));
}

LabelFile ReadLabelFile(const std::filesystem::path& path, const ModelHeads& all) {
  const std::string place = path.string();
  const Json json = ReadJsonFile(path);
  const LabelFile opening = OpeningOf(json, place);
  if (opening.fingerprint != all.fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: these are labels of the model '{}' with fingerprint {}, this one's is {}; "
                "label a store of this model",
                place, Printable(opening.model_name), Printable(opening.fingerprint),
                all.fingerprint);
  }
  return ParseLabels(json, place, all);
}

LabelFile ParseLabels(const Json& json, const std::string& place, const ModelHeads& all) {
  LabelFile file = OpeningOf(json, place);
  for (const Json& property : JsonList(json, "properties", file.place)) {
    file.properties.push_back(JsonField<std::string>(property, "property", file.place));
    file.texts.push_back(
        ListOfTexts(JsonList(property, "texts", file.place), "text of a property", file.place));
    file.index.push_back(IndexOf(JsonList(property, "heads", file.place), all, file.place));
  }
  file.uncalibrated =
      ListOfTexts(JsonList(json, "uncalibrated_because", file.place), "reason", file.place);
  std::set<HeadId> seen;
  for (const Json& head : JsonList(json, "heads", file.place)) {
    LabelledHead labelled;
    labelled.id = all.HeadNamed(JsonField<std::string>(head, "head", file.place), file.place);
    if (!seen.insert(labelled.id).second) RefuseTwice(labelled.id, file.place);
    labelled.label = TextOrNone(head, "label", file.place);
    labelled.second = TextOrNone(head, "second", file.place);
    labelled.confidence = JsonField<double>(head, "confidence", file.place);
    file.heads.push_back(std::move(labelled));
  }
  return file;
}

std::vector<HeadId> HeadsLabelled(const LabelFile& labels, const std::string& property) {
  PlaceOf(labels, property);
  std::vector<HeadId> heads;
  for (const LabelledHead& head : labels.heads) {
    if (head.label == property || head.second == property) heads.push_back(head.id);
  }
  if (heads.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: no head is labelled '{}'; choose another property, or name heads",
                labels.place, Printable(property));
  }
  std::ranges::sort(heads);
  return heads;
}

std::vector<HeadShare> HeadsTelling(const LabelFile& labels, const std::string& property) {
  const std::vector<HeadShare>& heads = labels.index[PlaceOf(labels, property)];
  if (heads.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: '{}' explains no head better than chance; choose another property, or name "
                "heads",
                labels.place, Printable(property));
  }
  return heads;
}

std::vector<std::string> TextsOfProperties(const LabelFile& labels) {
  std::vector<std::string> all;
  for (const std::vector<std::string>& texts : labels.texts) {
    all.insert(all.end(), texts.begin(), texts.end());
  }
  return all;
}

SearchSpace SpaceOfHeads(std::span<const HeadShare> heads, ArrayView<const float, 2> rows) {
  SearchSpace space;
  for (const HeadShare& head : heads) {
    space.heads.push_back(head.id);
    space.weights.push_back(std::sqrt(head.share));
  }
  space.directions = SpanOfTexts(rows);
  return space;
}

SearchSpace SpaceOfProperty(const LabelFile& labels, const std::string& property,
                            ArrayView<const float, 2> rows) {
  const std::vector<HeadShare> heads = HeadsTelling(labels, property);
  const std::size_t at = PlaceOf(labels, property);
  Index first = 0;
  for (std::size_t p = 0; p < at; ++p) first += static_cast<Index>(labels.texts[p].size());
  const auto count = static_cast<Index>(labels.texts[at].size());
  return SpaceOfHeads(heads, {rows.data() + first * rows.dim(1), {count, rows.dim(1)}});
}

}  // namespace cliplens
