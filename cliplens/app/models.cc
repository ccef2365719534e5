#include "cliplens/app/models.h"

#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"

namespace cliplens {
namespace {

ClipModel LoadThatOf(const StoreInfo& info, const std::string& store, const ModelChoice& choice) {
  ModelChoice place = choice;
  if (place.model.empty()) {
    place.model = info.model_path;
    place.architecture = info.model_architecture;
    place.weights = info.model_weights;
    std::error_code ignored;
    if (!std::filesystem::exists(place.model, ignored)) {
      throw Error(ErrorCode::kNotFound,
                  "{}: the model {} of this store is not there any more; say where it is with "
                  "--model",
                  place.model, info.model_name);
    }
  }
  ClipModel loaded = LoadModel(place);
  if (loaded.fingerprint() != info.fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made by model {} with fingerprint {}, {} has {}; name the same model with "
                "--model or decompose again",
                store, info.model_name, info.fingerprint, place.model, loaded.fingerprint());
  }
  return loaded;
}

}  // namespace

ClipModel LoadModel(const ModelChoice& choice) {
  return ClipModel::Load(ModelPath(choice.model), ParsePrecision(choice.precision),
                         choice.architecture, choice.weights);
}

ClipModel LoadModelOf(const Store& store, const ModelChoice& choice) {
  return LoadThatOf(store.info(), store.directory().string(), choice);
}

struct LazyModel::State {
  std::string fingerprint;  // empty: not known before the model is loaded
  Precision precision = Precision::kF32;
  std::function<ClipModel()> load;
  std::mutex mutex;
  std::optional<ClipModel> model;

  const ClipModel& Get() {
    const std::scoped_lock lock(mutex);
    if (!model) model.emplace(load());
    return *model;
  }
};

LazyModel::LazyModel(std::string fingerprint, Precision precision, std::function<ClipModel()> load)
    : state_(std::make_shared<State>()) {
  state_->fingerprint = std::move(fingerprint);
  state_->precision = precision;
  state_->load = std::move(load);
}

LazyModel::LazyModel(const ModelChoice& choice)
    : LazyModel("", ParsePrecision(choice.precision), [choice] { return LoadModel(choice); }) {}

LazyModel::LazyModel(const Store& store, const ModelChoice& choice)
    : LazyModel(store.info().fingerprint, ParsePrecision(choice.precision),
                [info = store.info(), place = store.directory().string(), choice] {
                  return LoadThatOf(info, place, choice);
                }) {}

const ClipModel& LazyModel::Get() const { return state_->Get(); }

RowModel LazyModel::ForRows() const {
  if (state_->fingerprint.empty()) return Get();
  return {state_->fingerprint, state_->precision,
          [state = state_]() -> const ClipModel& { return state->Get(); }};
}

}  // namespace cliplens
