// The files of edits: "cliplens.edit/1".
//
//   WriteEdit("edit.json", edit);
//   CheckEditIsFor(ReadEdit("edit.json"), "edit.json", model.fingerprint(), "the model");
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cliplens/decompose/edit.h"
#include "cliplens/io/json.h"

namespace cliplens {

// Adds the members "means", "note" and "components" to the JSON of an edit. `put_mean` adds what is
// said of a mean to the entry of its component.
void PutEditMembers(Json& json, const Edit& edit,
                    const std::function<void(Json& entry, const EditComponent&)>& put_mean);

// The text of the file, sealed (io/sealed_json.h). WriteEdit replaces an existing file.
std::string EditText(const Edit& edit);
void WriteEdit(const std::filesystem::path& path, const Edit& edit);
// Throws Error(kCorruptData) naming the file for one that is cut, changed or contradicts itself,
// kUnsupported for another format, kExhausted above 32 MB.
Edit ReadEdit(const std::filesystem::path& path);
// The same of a file's text; `name` stands in messages.
Edit ParseEdit(std::string text, const std::string& name);
// Throws Error(kInvalidArgument) unless the edit, read from `path`, is for this model. `place`
// names what has the fingerprint.
void CheckEditIsFor(const Edit& edit, const std::string& path, const std::string& fingerprint,
                    const std::string& place);

}  // namespace cliplens
