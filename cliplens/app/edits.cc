#include "cliplens/app/edits.h"

#include <optional>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/decompose/edit_file.h"

namespace cliplens {
namespace {

// x of "scale=x", nothing of "mean".
std::optional<double> ScaleOfMode(const std::string& mode) {
  if (mode == "mean") return std::nullopt;
  constexpr std::string_view kScale = "scale=";
  if (mode.starts_with(kScale)) {
    if (const auto scale = ParseNumber<double>(mode.substr(kScale.size()))) return scale;
  }
  throw Error(ErrorCode::kInvalidArgument, "--mode {}: mean or scale=X was expected, X a number",
              mode);
}

}  // namespace

ChosenEdit::ChosenEdit(const EditChoice& choice, const ClipModel& model) : choice_(choice) {
  if (choice.path.empty()) {
    if (choice.no_normalize) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--no-normalize is for edited rows: name an edit with --edit");
    }
    return;
  }
  edit_ = std::make_unique<Edit>(ReadEdit(choice.path));
  CheckEditIsFor(*edit_, choice.path, model.fingerprint(), model.name());
  model_edit_ = std::make_unique<ModelEdit>(model.image_readout(), *edit_);
}

Edit ReadEditFor(const Store& store, const std::string& path) {
  Edit edit = ReadEdit(path);
  CheckEditIsFor(edit, path, store.info().fingerprint, store.directory().string());
  return edit;
}

MeansChoice::MeansChoice(const Store& store, const std::string& means)
    : name_(means.empty() ? store.directory().string() : means), own_(store.statistics()) {
  if (means.empty()) return;
  other_ = std::make_unique<Store>(Store::Open(means));
  const StoreInfo& info = other_->info();
  if (info.fingerprint != store.info().fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made with model {} ({}), {} with {} ({}); --means takes a store of the same "
                "model",
                means, info.model_name, info.fingerprint, store.directory().string(),
                store.info().model_name, store.info().fingerprint);
  }
}

std::vector<ComponentId> ChooseTargets(const ComponentChoice& choice, const ModelHeads& all) {
  if (!choice.heads.empty()) return ParseComponents(choice.heads, all.components());
  return ComponentsOf(ChooseHeads({.property = choice.property, .labels = choice.labels}, all));
}

Edit MakeEdit(const Store& store, const EditRecipe& recipe) {
  const std::vector<ComponentId> targets = ChooseTargets(recipe.which, HeadsIn(store));
  const std::optional<double> scale = ScaleOfMode(recipe.mode);
  if (scale && !recipe.means.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "--means is for --mode mean; {} needs no mean",
                recipe.mode);
  }
  Edit edit;
  if (scale) {
    edit = MakeScaleEdit(store.info(), store.basis(), *scale, targets);
  } else {
    const MeansChoice means(store, recipe.means);
    edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(), targets);
    edit.means = means.name();
  }
  edit.note = recipe.which.property.empty() ? "heads " + recipe.which.heads
                                            : "heads of the property " + recipe.which.property;
  return edit;
}

}  // namespace cliplens
