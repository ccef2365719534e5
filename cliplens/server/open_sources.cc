#include "cliplens/server/open_sources.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "cliplens/app/heads.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"

namespace cliplens::server {
namespace {

// The labels of `files` that are this model's.
std::optional<LoadedLabels> LabelsFor(const std::vector<std::string>& files,
                                      const ModelHeads& all) {
  for (const std::string& file : files) {
    const Json json = ReadJsonFile(file);
    const Json model = JsonField<Json>(json, "model", file);
    if (JsonField<std::string>(model, "fingerprint", file) != all.fingerprint) continue;
    return LabelsFromJson(json, file, all);
  }
  return std::nullopt;
}

SourceOptions OpenStore(const std::string& path, const SourcesChoice& choice,
                        const OnBlankLines& on_blank) {
  SourceOptions source;
  source.store.emplace(Store::Open(path));
  source.pictures = OpenImagesOf(*source.store, choice.images);
  source.pool = ReadTextPool(TextsPath(choice.texts, "general"), on_blank);
  source.properties = ReadTextPool(TextsPath(choice.properties, "properties"), on_blank);
  source.labels = LabelsFor(choice.labels, HeadsIn(*source.store));
  source.model = LazyModel(*source.store, choice.model);
  return source;
}

SourceOptions OpenModel(const std::string& name, ModelChoice choice) {
  SourceOptions source;
  choice.model = name;
  source.model = LazyModel(choice);
  return source;
}

}  // namespace

std::vector<SourceOptions> OpenSources(const SourcesChoice& choice, const OnBlankLines& on_blank) {
  std::optional<ClassTexts> classes;
  if (!choice.classes.classes.empty()) {
    classes = ReadClasses(choice.classes, on_blank);
    classes->truncate = true;
  }
  std::vector<SourceOptions> sources;
  bool labelled = false;
  for (const std::string& path : choice.sources) {
    SourceOptions source =
        IsStore(path) ? OpenStore(path, choice, on_blank) : OpenModel(path, choice.model);
    source.name = path;
    source.classes = classes;
    source.label = choice.classes.label;
    labelled |= source.labels.has_value();
    sources.push_back(std::move(source));
  }
  if (!labelled && !choice.labels.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: these are labels of another model than those of the stores; label one of "
                "these",
                choice.labels.front());
  }
  return sources;
}

}  // namespace cliplens::server
