#include "cliplens/app/models.h"

#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"

namespace cliplens {
ClipModel LoadModel(const ModelChoice& choice) {
  ClipModel model = ClipModel::Load(ModelPath(choice.model), ParsePrecision(choice.precision),
                                    choice.architecture, choice.weights, choice.image_size);
  if (!choice.text_rows.empty()) {
    model.UseTextRows(TextRows::Read({choice.text_rows.begin(), choice.text_rows.end()}));
  }
  return model;
}

ClipModel LoadModelOf(const StoreInfo& info, const std::string& place, const ModelChoice& choice) {
  ModelChoice named = choice;
  if (named.model.empty()) {
    named.model = info.model_path;
    named.architecture = info.model_architecture;
    named.weights = info.model_weights;
    std::error_code ignored;
    if (!std::filesystem::exists(named.model, ignored)) {
      throw Error(ErrorCode::kNotFound,
                  "{}: the model {} of this store is not there any more; say where it is with "
                  "--model",
                  named.model, info.model_name);
    }
  }
  if (named.image_size == 0) named.image_size = info.model_image_size;
  ClipModel loaded = LoadModel(named);
  if (loaded.fingerprint() != info.fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made by model {} with fingerprint {}, {} has {}; name the same model with "
                "--model or make the store again",
                place, info.model_name, info.fingerprint, named.model, loaded.fingerprint());
  }
  return loaded;
}

ClipModel LoadModelOf(const Store& store, const ModelChoice& choice) {
  return LoadModelOf(store.info(), store.directory().string(), choice);
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
    : LazyModel(store.info(), store.directory().string(), choice) {}

LazyModel::LazyModel(const StoreInfo& info, const std::string& place, const ModelChoice& choice)
    // Rows of texts are a part of what makes rows; they are known when they have been read.
    : LazyModel(choice.text_rows.empty() ? info.fingerprint : "", ParsePrecision(choice.precision),
                [info, place, choice] { return LoadModelOf(info, place, choice); }) {}

const ClipModel& LazyModel::Get() const { return state_->Get(); }

RowModel LazyModel::ForRows() const {
  if (state_->fingerprint.empty()) return Get();
  return {state_->fingerprint, state_->precision,
          [state = state_]() -> const ClipModel& { return state->Get(); }};
}

}  // namespace cliplens
