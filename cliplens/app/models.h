// Models by the names that people give them, and the model of a store.
//
//   const LoadedModel model = LoadModel({.model = "pictureworld", .precision = "bf16"});
//   const LazyModel of_store(store, {});  // what the manifest names, loaded when it is needed
//   of_store.Get().EmbedTexts(pool.texts, /*truncate=*/false, threads);
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cliplens/app/pull.h"
#include "cliplens/decompose/store.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/text_cache.h"

namespace cliplens {

struct ModelChoice {
  std::string model = {};          // as ModelPath takes it, or ARCH/TAG (app/pull.h)
  std::string architecture = {};   // of a checkpoint file without a configuration: a name of
                                   // open_clip's, openai, or a JSON file
  std::string weights = {};        // of a checkpoint with several models: what stands before its
                                   // names
  std::string precision = "fp32";  // fp32, bf16, or auto: bf16 where the processor has it
  bool with_text = true;           // false: pictures alone are embedded, in less memory
  Level level = Level::kBlocks;    // at which pictures are split
  Index image_size = 0;            // pixels of a side that the model is to read; 0: its own
  std::string resize_backend = "pillow";    // or "torchvision": as transformers resizes
  std::vector<std::string> text_rows = {};  // .npy files of rows of texts made elsewhere
  // Fetches a model of the hub, by name, that is not in the cache. Empty: it is an error.
  std::function<void(const std::string& name)> fetch = {};
  const char* option = "--model";  // that chooses it, for messages

  // Throws as ParseResizeBackend.
  PictureChoice pictures() const { return {image_size, ParseResizeBackend(resize_backend)}; }
};

// The files of a model, and the architecture that they need. Throws as ModelPath and FindPulled.
FoundModel FindModel(const ModelChoice& choice);

// How the model reads pictures; its weights are not loaded. Throws as FindModel and LoadConfig.
PreprocessConfig PreprocessOf(const ModelChoice& choice);

using LoadedModel = std::shared_ptr<const ClipModel>;

// Throws as FindModel, ParsePrecision and ClipModel::Load.
LoadedModel LoadModel(const ModelChoice& choice);

// A model in memory under a name, "loaded:1": LoadModel gives it for that name while this lives, so
// that several verbs share one. Throws Error(kInvalidArgument) where a choice of it asks for
// something else than what was loaded, Error(kNotFound) once this is gone.
class NamedModel {
 public:
  explicit NamedModel(LoadedModel model);
  ~NamedModel();
  NamedModel(const NamedModel&) = delete;
  NamedModel& operator=(const NamedModel&) = delete;

  const std::string& name() const { return name_; }
  const ClipModel& model() const { return *model_; }

 private:
  LoadedModel model_;
  std::string name_;
};

// The model that LoadModelOf loads, by name, with its files there: fetched if the choice says how.
ModelChoice ModelOf(const StoreInfo& info, const ModelChoice& choice);

// The model that made a store: the one chosen, else what the manifest names. Throws as LoadModel,
// Error(kNotFound) when what the manifest names is gone, and Error(kInvalidArgument) when the
// fingerprint is another than the store's.
LoadedModel LoadModelOf(const Store& store, const ModelChoice& choice);
// The same of a store of any kind; `place` is its directory.
LoadedModel LoadModelOf(const StoreInfo& info, const std::string& place, const ModelChoice& choice);

// While it lives, texts for stores of models with this fingerprint get their rows from `encoder`.
// Throws Error(kPrecondition) where the fingerprint has one.
class TextEncoderInUse {
 public:
  TextEncoderInUse(std::string fingerprint, TextEncoder encoder);
  ~TextEncoderInUse();
  TextEncoderInUse(const TextEncoderInUse&) = delete;
  TextEncoderInUse& operator=(const TextEncoderInUse&) = delete;

 private:
  std::string fingerprint_;
};

// A model that is loaded at its first use. Copies share it. May be called by several threads at
// once; one loads while the others wait, and a load that throws is tried again at the next call.
class LazyModel {
 public:
  LazyModel() = default;  // no model; only to be assigned to
  // What LoadModel loads.
  explicit LazyModel(const ModelChoice& choice);
  // What LoadModelOf loads. The store need not outlive this.
  LazyModel(const Store& store, const ModelChoice& choice);
  LazyModel(const StoreInfo& info, const std::string& place, const ModelChoice& choice);
  // What `load` gives.
  LazyModel(std::string fingerprint, Precision precision, std::function<LoadedModel()> load);

  // Throws as the function that loads it.
  const ClipModel& Get() const;
  // For CachedTexts and CachedClassifier. The model of a store is not loaded for it.
  RowModel ForRows() const;
  // The same, but the model is loaded now, unless its texts have an encoder outside. Throws as Get.
  RowModel LoadedRows() const;
  // ForRows().EmbedTexts.
  Array<float, 2> EmbedTexts(std::span<const std::string> texts, bool truncate, int threads) const {
    return ForRows().EmbedTexts(texts, truncate, threads);
  }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace cliplens
