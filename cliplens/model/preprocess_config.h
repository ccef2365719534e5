// The settings of preprocessing as files give them.
//
//   const char* file = "preprocessor_config.json";
//   Print(ParseHuggingFacePreprocessor(ReadJsonFile(file), file).image_size);
#pragma once

#include <string>

#include "cliplens/io/json.h"
#include "cliplens/model/config_reader.h"
#include "cliplens/model/preprocess.h"

namespace cliplens {

// The most pixels along a side of a model's input.
inline constexpr Index kMaxImageSize = 4'096;

// Reads the member "preprocess_cfg" of an open_clip_config.json into `config`, whose image_size is
// that of the vision tower. Errors as ParseOpenClipConfig's.
void ReadOpenClipPreprocess(ConfigReader& pre, PreprocessConfig& config);

// `preprocessor_config.json` of a Hugging Face CLIP directory (or the object "image_processor" of
// its processor_config.json), with the defaults of transformers' CLIPImageProcessor for what is
// absent. Older files with "feature_extractor_type" are read too. `name` stands in the messages.
// Throws Error(kUnsupported) that names a setting which this version does not follow (another
// filter than bicubic and bilinear, a result that is not square, ...), Error(kCorruptData) for one
// that makes no sense.
PreprocessConfig ParseHuggingFacePreprocessor(const Json& file, const std::string& name);

// The settings as they are written into stores and printed by `info --json`.
Json ToJson(const PreprocessConfig& config);

}  // namespace cliplens
