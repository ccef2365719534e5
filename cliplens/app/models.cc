#include "cliplens/app/models.h"

#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/base/registry.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/hub_cache.h"

namespace cliplens {
namespace {

bool IsThere(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

constexpr std::string_view kLoaded = "loaded:";

Registry<LoadedModel>& NamedModels() {
  static Registry<LoadedModel> named;
  return named;
}

// By fingerprint.
Registry<TextEncoder>& TextEncoders() {
  static Registry<TextEncoder> encoders;
  return encoders;
}

LoadedModel FindNamed(const ModelChoice& choice) {
  const std::optional<LoadedModel> found = NamedModels().Find(choice.model);
  if (!found) {
    throw Error(ErrorCode::kNotFound, "{}: no model of this name is loaded any more", choice.model);
  }
  const ClipModel& model = **found;
  const auto refuse = [&](const char* what) {
    return Error(ErrorCode::kInvalidArgument,
                 "{} ({}): was loaded with {}; load it as it is wanted now", choice.model,
                 model.name(), what);
  };
  const PictureChoice pictures = choice.pictures();
  const PictureChoice loaded = model.identity().pictures;
  if (model.image_readout().components().level() != choice.level) throw refuse("another level");
  if (pictures.image_size != 0 && pictures.image_size != model.config().preprocess.image_size) {
    throw refuse("another size of pictures");
  }
  if (pictures.backend != ResizeBackend::kPillow && pictures.backend != loaded.backend) {
    throw refuse("another resize backend");
  }
  if (!choice.architecture.empty() && choice.architecture != model.architecture()) {
    throw refuse("another architecture");
  }
  if (!choice.text_rows.empty() && model.text_rows() == nullptr) throw refuse("no rows of texts");
  return *found;
}

}  // namespace

NamedModel::NamedModel(LoadedModel model) : model_(std::move(model)) {
  static std::atomic<Index> last{0};
  name_ = fmt::format("{}{}", kLoaded, ++last);
  NamedModels().Add(name_, model_);
}

NamedModel::~NamedModel() { NamedModels().Remove(name_); }

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

PreprocessConfig PreprocessOf(const ModelChoice& choice) {
  if (choice.model.starts_with(kLoaded)) return FindNamed(choice)->config().preprocess;
  const FoundModel found = FindModel(choice);
  return LoadConfig(found.path, found.architecture, choice.weights, choice.pictures()).preprocess;
}

LoadedModel LoadModel(const ModelChoice& choice) {
  if (choice.model.starts_with(kLoaded)) return FindNamed(choice);
  const FoundModel found = FindModel(choice);
  ClipModel model =
      ClipModel::Load(found.path, ParsePrecision(choice.precision), found.architecture,
                      choice.weights, choice.pictures(), choice.with_text);
  model.UseLevel(choice.level);
  if (!choice.text_rows.empty()) {
    model.UseTextRows(TextRows::Read({choice.text_rows.begin(), choice.text_rows.end()}));
  }
  return std::make_shared<const ClipModel>(std::move(model));
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

LoadedModel LoadModelOf(const StoreInfo& info, const std::string& place,
                        const ModelChoice& choice) {
  const ModelChoice named = ModelOf(info, choice);
  LoadedModel loaded = LoadModel(named);
  if (loaded->fingerprint() != info.fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made by model {} with fingerprint {}, {} has {}; name the same model with "
                "{} or make the store again",
                place, info.model_name, info.fingerprint, named.model, loaded->fingerprint(),
                choice.option);
  }
  return loaded;
}

LoadedModel LoadModelOf(const Store& store, const ModelChoice& choice) {
  return LoadModelOf(store.info(), store.directory().string(), choice);
}

TextEncoderInUse::TextEncoderInUse(std::string fingerprint, TextEncoder encoder)
    : fingerprint_(std::move(fingerprint)) {
  if (!TextEncoders().Add(fingerprint_, std::move(encoder))) {
    throw Error(ErrorCode::kPrecondition, "fingerprint {}: has an encoder of texts already",
                fingerprint_);
  }
}

TextEncoderInUse::~TextEncoderInUse() { TextEncoders().Remove(fingerprint_); }

struct LazyModel::State {
  std::string fingerprint;  // empty: not known before the model is loaded
  Precision precision = Precision::kF32;
  std::function<LoadedModel()> load;
  std::mutex mutex;
  LoadedModel model;

  const ClipModel& Get() {
    const std::scoped_lock lock(mutex);
    if (!model) model = load();
    return *model;
  }
};

LazyModel::LazyModel(std::string fingerprint, Precision precision,
                     std::function<LoadedModel()> load)
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
  const auto load = [state = state_]() -> const ClipModel& { return state->Get(); };
  if (state_->fingerprint.empty()) {
    RowModel rows = Get();
    rows.load = load;
    return rows;
  }
  RowModel rows(state_->fingerprint, state_->precision, load);
  rows.encoder = TextEncoders().Find(state_->fingerprint).value_or(TextEncoder());
  return rows;
}

RowModel LazyModel::LoadedRows() const {
  RowModel rows = ForRows();
  if (!rows.encoder) Get();
  return rows;
}

}  // namespace cliplens
