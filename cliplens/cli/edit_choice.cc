#include "cliplens/cli/edit_choice.h"

#include "cliplens/base/error.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/decompose/model_edit.h"

namespace cliplens::cli {

void AddEditChoice(CLI::App* verb, EditChoice& choice) {
  verb->add_option("--edit", choice.path, "Edit to apply (cliplens edit)");
  verb->add_flag("--no-normalize", choice.no_normalize, "Leave edited rows as they are");
}

ChosenEdit::ChosenEdit(const EditChoice& choice, const ClipModel& model)
    : path_(choice.path), normalize_(!choice.no_normalize) {
  if (path_.empty()) {
    if (!normalize_) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--no-normalize is for edited rows: name an edit with --edit");
    }
    return;
  }
  edit_ = std::make_unique<Edit>(ReadEdit(path_));
  CheckEditIsFor(*edit_, path_, model.fingerprint(), model.name());
  model_edit_ = std::make_unique<ModelEdit>(model.image_readout(), *edit_);
}

std::string ChosenEdit::RowsText() const {
  if (edit_ == nullptr) return "unit rows";
  return normalize_ ? "edited unit rows" : "edited rows, not made unit,";
}

void ChosenEdit::PutInto(Json& result) const {
  if (edit_ == nullptr) return;
  Json components = Json::array();
  for (const EditComponent& c : edit_->components) components.push_back(NameOf(c.target));
  result["edit"] = {{"file", path_}, {"components", components}, {"normalized", normalize_}};
}

MeansChoice::MeansChoice(const std::string& means, const Store& store,
                         const std::string& store_name)
    : name_(means.empty() ? store_name : means), own_(store.statistics()) {
  if (means.empty()) return;
  other_ = std::make_unique<Store>(Store::Open(means));
  const StoreInfo& of = other_->info();
  if (of.fingerprint != store.info().fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: made with model {} ({}), {} with {} ({}); --means takes a store of the same "
                "model",
                means, of.model_name, of.fingerprint, store_name, store.info().model_name,
                store.info().fingerprint);
  }
}

Edit ReadEditOf(const std::string& path, const Store& store) {
  Edit edit = ReadEdit(path);
  CheckEditIsFor(edit, path, store.info().fingerprint, store.directory().string());
  return edit;
}

}  // namespace cliplens::cli
