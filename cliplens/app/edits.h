// Edits by the names that people give them: a file, or components with a mode.
//
//   WriteEdit("edit.json", MakeEdit(store, {.which = {.heads = "L5.H3,L5.H4"}}));
//   const ChosenEdit chosen({.path = "edit.json"}, model);
//   EmbedReadableImages(model, *OpenImages({.images = "photos/"}), OnError::kStop, threads, {},
//                       chosen.ForEmbedding());
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/heads.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// The edit of a file, for a model.
struct EditChoice {
  std::string path = {};      // empty: none
  bool no_normalize = false;  // edited rows are left as they are
};
class ChosenEdit {
 public:
  // The model must outlive this. Throws as ReadEdit and CheckEditIsFor, and Error(kInvalidArgument)
  // for no_normalize without a file.
  ChosenEdit(const EditChoice& choice, const ClipModel& model);

  const Edit* edit() const { return edit_.get(); }  // null: none
  const std::string& path() const { return choice_.path; }
  bool normalize() const { return !choice_.no_normalize; }
  EmbedEdit ForEmbedding() const { return {model_edit_.get(), normalize()}; }

 private:
  EditChoice choice_;
  std::unique_ptr<Edit> edit_;
  std::unique_ptr<ModelEdit> model_edit_;
};

// The edit of a file, for the model of a store. Throws as ReadEdit and CheckEditIsFor.
Edit ReadEditFor(const Store& store, const std::string& path);

// The store whose means replace components: another one, or the store itself.
class MeansChoice {
 public:
  // `store` must outlive this; `means` is the directory of the other store, empty for none. Throws
  // as Store::Open, and Error(kInvalidArgument) for a store of another model.
  MeansChoice(const Store& store, const std::string& means);

  const Statistics& statistics() const { return other_ ? other_->statistics() : own_; }
  const std::string& name() const { return name_; }  // of the store, as it was named

 private:
  std::string name_;
  const Statistics& own_;
  std::unique_ptr<Store> other_;
};

// Components by name (as ParseComponents), or the heads that are labelled with a property.
struct ComponentChoice {
  std::string heads = {};
  std::string property = {};  // where `heads` is empty
  std::string labels = {};    // file that `cliplens label --out` wrote
};
// Throws as ParseComponents and ChooseHeads.
std::vector<ComponentId> ChooseTargets(const ComponentChoice& choice, const ModelHeads& all);

// An edit to make.
struct EditRecipe {
  ComponentChoice which = {};
  std::string mode = "mean";  // mean: replaced by the mean; scale=X: times X
  std::string means = {};     // store whose means are used; empty: the store's own
};
// With a note of how the components were named. Throws as ChooseTargets, MeansChoice and
// MakeMeanEdit, and Error(kInvalidArgument) for another mode, or for `means` with a scale.
Edit MakeEdit(const Store& store, const EditRecipe& recipe);

}  // namespace cliplens
