// Edits as JSON (docs/json.md) and as tables.
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/cue.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.edit.show/1": what an edit does, without the means' numbers.
Json EditJson(const Edit& edit, const std::string& file);
std::string EditTable(const Edit& edit);

// What FindCue found, with the names of things.
struct CueReport {
  StoreInfo store;
  std::string classes_name;  // of the class file
  std::vector<std::string> classes;
  std::string cue;  // "texts", or the attribute
  std::vector<std::string> groups;
  bool own_answers = true;  // the groups are the model's own answers to texts
  bool within_classes = false;
  std::string means;  // the store whose means the edit has
  std::string out;    // the edit's file; empty where none was written
  CueResult result;
};

Json CueJson(const CueReport& report);  // "cliplens.edit.suggest/2"
// First what the model leans on, then the heads.
std::string CueTable(const CueReport& report);
// The first sentence of it: how far the class logits follow the cue.
std::string LeanText(const CueReport& report);

}  // namespace cliplens
