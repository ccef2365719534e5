// Edits as JSON (docs/json.md) and as tables.
//
//   const Edit edit = ReadEdit("edit.json");
//   Print(EditTable(edit), DumpJson(EditJson(edit, "edit.json")));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/cues.h"
#include "cliplens/app/edits.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/io/json.h"

namespace cliplens {

// "cliplens.edit.show/1": what an edit does, without the means' numbers.
Json EditJson(const Edit& edit, const std::string& file);
std::string EditTable(const Edit& edit);

// The member "edit" of a result on pictures that it was applied to; nothing without an edit.
void PutEdit(Json& result, const ChosenEdit& edit);

Json CueJson(const CueReport& report);  // "cliplens.edit.suggest/2"
// How far the class logits follow the cue, then the heads.
std::string CueTable(const CueReport& report);
// The first sentence of CueTable.
std::string LeanText(const CueReport& report);

}  // namespace cliplens
