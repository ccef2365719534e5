// Edits that verbs on pictures are asked to apply.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens::cli {

struct EditChoice {
  std::string path;
  bool no_normalize = false;
};

// Adds --edit and --no-normalize.
void AddEditChoice(CLI::App* verb, EditChoice& choice);

// The edit of a file for a model, or none where none was named.
class ChosenEdit {
 public:
  // Throws as ReadEdit and CheckEditIsFor do, and Error(kInvalidArgument) for --no-normalize
  // without --edit.
  ChosenEdit(const EditChoice& choice, const ClipModel& model);

  const Edit* edit() const { return edit_.get(); }
  EmbedEdit ForEmbedding() const { return {model_edit_.get(), normalize_}; }
  // "unit rows", "rows, edited and not made unit".
  std::string RowsText() const;
  // The member "edit" of a result, where there is an edit.
  void PutInto(Json& result) const;

 private:
  std::string path_;
  bool normalize_ = true;
  std::unique_ptr<Edit> edit_;
  std::unique_ptr<ModelEdit> model_edit_;
};

// The store whose means stand in: one that is named, which must be of the same model, or the store
// itself.
class MeansChoice {
 public:
  // Throws Error(kInvalidArgument) naming both models. `store` must outlive this; `store_name` is
  // how it was named.
  MeansChoice(const std::string& means, const Store& store, const std::string& store_name);
  const Statistics& statistics() const { return other_ ? other_->statistics() : own_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  const Statistics& own_;
  std::unique_ptr<Store> other_;
};

// The edit of a file, for the model of a store.
Edit ReadEditOf(const std::string& path, const Store& store);

}  // namespace cliplens::cli
