#include "cliplens/app/models.h"

#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/model/hub_cache.h"

namespace cliplens {
namespace {

bool IsThere(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

FoundModel FindModel(const ModelChoice& choice) {
  FoundModel found;
  if (!IsPullName(choice.model) || (!IsHubName(choice.model) && IsThere(choice.model))) {
    found.path = ModelPath(choice.model);
  } else {
    try {
      found = FindPulled(choice.model);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound || !choice.fetch) throw;
      choice.fetch(choice.model);
      found = FindPulled(choice.model);
    }
  }
  if (!choice.architecture.empty()) found.architecture = choice.architecture;
  return found;
}

ClipModel LoadModel(const ModelChoice& choice) {
  const FoundModel found = FindModel(choice);
  ClipModel model =
      ClipModel::Load(found.path, ParsePrecision(choice.precision), found.architecture,
                      choice.weights, choice.pictures(), choice.with_text);
  model.UseLevel(choice.level);
  if (!choice.text_rows.empty()) {
    model.UseTextRows(TextRows::Read({choice.text_rows.begin(), choice.text_rows.end()}));
  }
  return model;
}

ModelChoice ModelOf(const StoreInfo& info, const ModelChoice& choice) {
  ModelChoice named = choice;
  if (named.model.empty()) {
    named.model = info.model_path;
    named.architecture = info.model_architecture;
    named.weights = info.model_weights;
    if (!IsThere(named.model)) {
      // Another cache may have it, and the hub has what the cache had.
      const std::string hub = HubNameOfSnapshot(named.model);
      const auto gone = [&](const std::string& next) {
        return Error(ErrorCode::kNotFound,
                     "{}: the model {} of this store is not there any more; {}say where it is with "
                     "{}",
                     named.model, info.model_name, next, choice.option);
      };
      if (hub.empty()) throw gone("");
      named.model = hub;
      try {
        FindModel(named);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNotFound || choice.fetch) throw;
        named.model = info.model_path;
        throw gone(fmt::format("get it: cliplens pull {}, or ", hub));
      }
    }
  }
  // The pictures of a store are read and split as they were when it was made.
  named.level = info.level;
  if (named.image_size == 0) named.image_size = info.model_pictures.image_size;
  if (named.resize_backend == NameOf(ResizeBackend::kPillow)) {
    named.resize_backend = NameOf(info.model_pictures.backend);
  }
  return named;
}

ClipModel LoadModelOf(const StoreInfo& info, const std::string& place, const ModelChoice& choice) {
  const ModelChoice named = ModelOf(info, choice);
  ClipModel loaded = LoadModel(named);
  if (loaded.fingerprint() != info.fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made by model {} with fingerprint {}, {} has {}; name the same model with "
                "{} or make the store again",
                place, info.model_name, info.fingerprint, named.model, loaded.fingerprint(),
                choice.option);
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
