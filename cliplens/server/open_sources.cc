#include "cliplens/server/open_sources.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "cliplens/app/heads.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/decompose/manifest.h"
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

// The model of a store, fetched now if it may be: answers wait for no network.
ModelChoice ModelThere(const StoreInfo& info, const ModelChoice& choice) {
  ModelChoice model = choice.fetch ? ModelOf(info, choice) : choice;
  if (choice.fetch) FindModel(model);
  model.fetch = {};
  return model;
}

SourceOptions OpenStore(const std::string& path, const SourcesChoice& choice,
                        const OnBlankLines& on_blank) {
  SourceOptions source;
  source.store.emplace(Store::Open(path));
  if (source.store->info().level != Level::kBlocks) {
    throw Error(ErrorCode::kUnsupported,
                "{}: is at the level of the pool, which the explorer does not show; make a page of "
                "it with: cliplens report {} --out report.html",
                path, path);
  }
  source.pictures = OpenImagesOf(*source.store, choice.images);
  source.pool = ReadTextPool(TextsPath(choice.texts, "general"), on_blank);
  source.properties = ReadTextPool(TextsPath(choice.properties, "properties"), on_blank);
  source.labels = LabelsFor(choice.labels, HeadsIn(*source.store));
  source.model = LazyModel(*source.store, ModelThere(source.store->info(), choice.model));
  return source;
}

SourceOptions OpenModel(const std::string& name, ModelChoice choice) {
  SourceOptions source;
  choice.model = name;
  if (choice.fetch) FindModel(choice);
  choice.fetch = {};  // answers wait for no network
  source.model = LazyModel(choice);
  return source;
}

// A store of neurons, to stand beside the sources of its model.
struct NeuronSource {
  std::string path;
  std::shared_ptr<const NeuronStore> store;
  std::shared_ptr<const ImageSet> pictures;
};

NeuronSource OpenNeurons(const std::string& path) {
  NeuronSource neurons{path, std::make_shared<const NeuronStore>(NeuronStore::Open(path)), {}};
  RequirePictures(*neurons.store, "the explorer");
  (void)neurons.store->directions(neurons.store->layers().begin);  // not one part of a set
  neurons.pictures = OpenImagesOf(neurons.store->info(), "");
  return neurons;
}

std::string FingerprintOf(const SourceOptions& source) {
  return source.store ? source.store->info().fingerprint : source.model.Get().fingerprint();
}

// To each source of the same model, or with a source of its own where there is none.
void AddNeurons(const NeuronSource& neurons, const SourcesChoice& choice,
                const OnBlankLines& on_blank, std::vector<SourceOptions>& sources) {
  const StoreInfo& info = neurons.store->info();
  std::vector<SourceOptions*> of_model;
  for (SourceOptions& source : sources) {
    if (FingerprintOf(source) == info.fingerprint) of_model.push_back(&source);
  }
  if (of_model.empty()) {
    SourceOptions& own = sources.emplace_back();
    own.name = neurons.path;
    own.model = LazyModel(info, neurons.path, ModelThere(info, choice.model));
    of_model.push_back(&own);
  }
  for (SourceOptions* const source : of_model) {
    if (source->neurons) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: {} shows neurons of this model already; open one store of neurons a model",
                  neurons.path, source->name);
    }
    source->neurons = neurons.store;
    source->neuron_pictures = neurons.pictures;
    if (!source->pool) source->pool = ReadTextPool(TextsPath(choice.texts, "general"), on_blank);
  }
}

}  // namespace

std::vector<SourceOptions> OpenSources(const SourcesChoice& choice, const OnBlankLines& on_blank) {
  std::optional<ClassTexts> classes;
  if (!choice.classes.classes.empty()) {
    classes = ReadClasses(choice.classes, on_blank);
    classes->truncate = true;
  }
  std::vector<SourceOptions> sources;
  std::vector<NeuronSource> neurons;
  bool labelled = false;
  for (const std::string& path : choice.sources) {
    if (KindOf(path) == StoreKind::kNeurons) {
      neurons.push_back(OpenNeurons(path));
      continue;
    }
    SourceOptions source =
        IsStore(path) ? OpenStore(path, choice, on_blank) : OpenModel(path, choice.model);
    source.name = path;
    source.classes = classes;
    source.label = choice.classes.label;
    labelled |= source.labels.has_value();
    sources.push_back(std::move(source));
  }
  for (const NeuronSource& one : neurons) {
    const std::size_t others = sources.size();
    AddNeurons(one, choice, on_blank, sources);
    if (sources.size() > others) {
      sources.back().classes = classes;
      sources.back().label = choice.classes.label;
    }
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
