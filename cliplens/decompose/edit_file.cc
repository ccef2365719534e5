#include "cliplens/decompose/edit_file.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/sealed_json.h"

namespace cliplens {
namespace {

constexpr char kEditFormat[] = "cliplens.edit/1";
constexpr Index kMaxBytes = Index{32} << 20;
constexpr Index kMaxSize = 65'536;  // of layers, heads and widths that a file may claim
constexpr std::size_t kMaxText = 4'096;

Index Number(const Json& object, const char* key, Index low, Index high, const std::string& name) {
  const auto n = JsonField<std::int64_t>(object, key, name);
  if (n < low || n > high) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, outside of {} to {}", name, key, n, low,
                high);
  }
  return Index{n};
}

std::string BoundedText(const Json& object, const char* key, const std::string& name) {
  std::string text = JsonField<std::string>(object, key, name);
  if (text.size() > kMaxText) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' has {} bytes, at most {} are allowed", name, key,
                text.size(), kMaxText);
  }
  return text;
}

Level LevelIn(const std::string& level, const std::string& name) {
  for (const Level known : {Level::kBlocks, Level::kPool}) {
    if (level == NameOf(known)) return known;
  }
  throw Error(ErrorCode::kCorruptData, "{}: 'level' is '{}'; blocks and pool are known", name,
              Printable(level));
}

EditComponent ParseComponent(const Json& json, const Edit& edit, const std::string& name) {
  const std::string text = BoundedText(json, "component", name);
  const std::optional<ComponentId> target = ComponentNamed(text, edit.sizes());
  if (!target) {
    throw Error(ErrorCode::kCorruptData, "{}: component '{}' is none of a model of {} x {} heads",
                name, Printable(text), edit.layers, edit.heads);
  }
  EditComponent component;
  component.target = *target;
  const std::string mode = BoundedText(json, "mode", name);
  if (mode == "scale") {
    component.mean = false;
    component.scale = JsonField<double>(json, "scale", name);
    if (!(std::abs(component.scale) <= kMaxEditScale)) {
      throw Error(ErrorCode::kCorruptData, "{}: {} is scaled by {}, outside of ±{}", name, text,
                  component.scale, kMaxEditScale);
    }
    return component;
  }
  if (mode != "mean") {
    throw Error(ErrorCode::kCorruptData, "{}: {} has the mode '{}', mean or scale was expected",
                name, text, Printable(mode));
  }
  const Json numbers = JsonField<Json>(json, "mean", name);
  if (!numbers.is_array() || static_cast<Index>(numbers.size()) != edit.embed_width) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the mean of {} has {} numbers, the embedding has {}; make the edit again",
                name, text, numbers.is_array() ? numbers.size() : 0, edit.embed_width);
  }
  component.constant.reserve(numbers.size());
  for (const Json& number : numbers) {
    const float value = number.is_number() ? number.get<float>() : NAN;
    if (!std::isfinite(value)) {
      throw Error(ErrorCode::kCorruptData, "{}: the mean of {} holds {}, not a number of 32 bits",
                  name, text, JsonExcerpt(number));
    }
    component.constant.push_back(value);
  }
  return component;
}

}  // namespace

void PutEditMembers(Json& json, const Edit& edit,
                    const std::function<void(Json& entry, const EditComponent&)>& put_mean) {
  if (edit.means_images > 0) {
    json["means"] = {{"store", edit.means}, {"images", edit.means_images}};
  }
  if (!edit.note.empty()) json["note"] = edit.note;
  json["components"] = Json::array();
  for (const EditComponent& c : edit.components) {
    Json entry = {{"component", NameOf(c.target)}, {"mode", c.mean ? "mean" : "scale"}};
    if (c.mean) {
      put_mean(entry, c);
    } else {
      entry["scale"] = c.scale;
    }
    json["components"].push_back(std::move(entry));
  }
}

std::string EditText(const Edit& edit) {
  Json json = {{"format", kEditFormat},
               {"model",
                {{"name", edit.model_name},
                 {"fingerprint", edit.fingerprint},
                 {"layers", edit.layers},
                 {"heads", edit.heads},
                 {"embed_width", edit.embed_width}}}};
  if (edit.pool_mlp) json["model"]["pool_mlp"] = true;
  if (edit.level != Level::kBlocks) json["model"]["level"] = NameOf(edit.level);
  PutEditMembers(json, edit, [](Json& entry, const EditComponent& c) {
    // As few digits as give the float back.
    Json& mean = entry["mean"] = Json::array();
    for (const float v : c.constant) mean.push_back(std::stod(fmt::format("{:.9g}", v)));
  });
  return SealJson(std::move(json));
}

void WriteEdit(const std::filesystem::path& path, const Edit& edit) {
  WriteFileAtomically(path, EditText(edit));
}

Edit ReadEdit(const std::filesystem::path& path) {
  return ParseEdit(ReadTextFile(path, kMaxBytes), PathText(path));
}

Edit ParseEdit(std::string text, const std::string& name) {
  const Json json = ParseSealedJson(std::move(text), name);
  const std::string format = BoundedText(json, "format", name);
  if (format != kEditFormat) {
    throw Error(
        format.starts_with("cliplens.edit/") ? ErrorCode::kUnsupported : ErrorCode::kCorruptData,
        "{}: its format is '{}', {} was expected; make it with 'cliplens edit'", name,
        Printable(format), kEditFormat);
  }
  Edit edit;
  const Json model = JsonField<Json>(json, "model", name);
  edit.model_name = BoundedText(model, "name", name);
  edit.fingerprint = BoundedText(model, "fingerprint", name);
  edit.layers = Number(model, "layers", 1, kMaxSize, name);
  edit.heads = Number(model, "heads", 1, kMaxSize, name);
  edit.embed_width = Number(model, "embed_width", 1, kMaxSize, name);
  if (model.contains("pool_mlp")) edit.pool_mlp = JsonField<bool>(model, "pool_mlp", name);
  if (model.contains("level")) edit.level = LevelIn(BoundedText(model, "level", name), name);
  if (json.contains("means")) {
    const Json means = JsonField<Json>(json, "means", name);
    edit.means = BoundedText(means, "store", name);
    edit.means_images = Number(means, "images", 1, Index{1} << 40, name);
  }
  if (json.contains("note")) edit.note = BoundedText(json, "note", name);
  const auto components = json.find("components");
  if (components == json.end() || !components->is_array() || components->empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: 'components' is no list with a component", name);
  }
  std::set<ComponentId> named;
  for (const Json& entry : *components) {
    edit.components.push_back(ParseComponent(entry, edit, name));
    const EditComponent& c = edit.components.back();
    if (c.mean && edit.means_images == 0) {
      throw Error(ErrorCode::kCorruptData, "{}: has means, but \"means\" does not say of what",
                  name);
    }
    if (!named.insert(c.target).second) {
      throw Error(ErrorCode::kCorruptData, "{}: {} is edited twice", name, NameOf(c.target));
    }
  }
  const std::vector<ComponentId> sorted(named.begin(), named.end());
  if (WithoutCovered(sorted).size() != sorted.size()) {
    throw Error(ErrorCode::kCorruptData, "{}: a head is edited alone and with its whole layer",
                name);
  }
  std::ranges::sort(edit.components, {}, &EditComponent::target);
  try {
    edit.CheckLeavesSomething();
  } catch (const Error& error) {
    throw Error(error.code(), "{}: {}", name, error.what());
  }
  return edit;
}

void CheckEditIsFor(const Edit& edit, const std::string& path, const std::string& fingerprint,
                    const std::string& place) {
  if (edit.fingerprint != fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: an edit of model {} ({}), {} is {}; make an edit of this model", path,
                Printable(edit.model_name), Printable(edit.fingerprint), place, fingerprint);
  }
}

}  // namespace cliplens
