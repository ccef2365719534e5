// Options that several verbs have: how a model, pictures, classes, heads and edits are chosen.
// Each function adds the options that fill in a choice of app/.
#pragma once

#include <string>
#include <type_traits>

#include <CLI/CLI.hpp>

#include "cliplens/app/edits.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/labels.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/spaces.h"
#include "cliplens/app/texts.h"
#include "cliplens/dataset/on_error.h"

namespace cliplens::cli {

// The argument MODEL, or the option --model of verbs on a store, each with --arch, --weights and
// --pull.
void AddModelArgument(CLI::App* verb, ModelChoice& choice);
void AddModelOption(CLI::App* verb, ModelChoice& choice);
// --pull alone. A second model of a verb is fetched by the same option: copy `fetch`.
CLI::Option* AddPullOption(CLI::App* verb, ModelChoice& choice);
// --level blocks|pool.
void AddLevelOption(CLI::App* verb, ModelChoice& choice);
// --precision fp32|bf16|auto.
void AddPrecisionOption(CLI::App* verb, ModelChoice& choice);

// An option that takes a number from `least` to `most`.
template <typename Number>
void AddNumber(CLI::App* verb, const char* names, Number& number,
               std::type_identity_t<Number> least, std::type_identity_t<Number> most,
               const char* help) {
  verb->add_option(names, number, help)->check(CLI::Range(least, most))->capture_default_str();
}

// A group of options of which one may be given, or must be.
CLI::App* AddOneOf(CLI::App* verb, const std::string& name, bool required = true);

// The argument STORE.
void AddStoreArgument(CLI::App* verb, std::string& store,
                      const char* help = "Store directory with factors of pictures");
// --texts, a text pool, which must be given where `texts` is empty.
void AddTextsOption(CLI::App* verb, std::string& texts);
// --heads.
CLI::Option* AddHeadsOption(CLI::App* verb, std::string& heads);
// --labels.
void AddLabelsOption(CLI::App* verb, std::string& labels);

// --images and --split; --images is required unless it is one of a group's.
void AddImagesOption(CLI::App* verb, ImagesChoice& choice, CLI::App* group = nullptr);
// --exif-orientation.
void AddExifOption(CLI::App* verb, bool& exif_orientation);

// "2/8": part 2 of 8, counted from 0. Throws Error(kInvalidArgument) for other text.
StorePart ParseStorePart(const std::string& text);

// --on-error stop|skip.
void AddOnError(CLI::App* verb, OnError& on_error);

// --classes, which must be given if it is `required`, --templates, --label and --truncate.
void AddClassOptions(CLI::App* verb, ClassChoice& choice, bool required = true);
// --templates alone.
CLI::Option* AddTemplatesOption(CLI::App* verb, ClassChoice& choice);

// --heads, --property and --labels.
void AddHeadChoice(CLI::App* verb, HeadChoice& choice);
// The same with --definition, --measure and --raw.
void AddSpaceChoice(CLI::App* verb, SpaceChoice& choice);
// Whether the command line has any of these options.
bool SpaceIsChosen(const CLI::App& verb);

// --edit and --no-normalize.
void AddEditChoice(CLI::App* verb, EditChoice& choice);

// The argument STORE, --model, and how its heads are labelled.
struct LabelledStore {
  std::string store;
  ModelChoice model;
  LabellingOptions labelling;
};
void AddLabellingOptions(CLI::App* verb, LabelledStore& options);

}  // namespace cliplens::cli
