// What the verbs share that score one picture against texts.
#pragma once

#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/io/image.h"
#include "cliplens/model/clip.h"

namespace cliplens::cli {

// The picture of --image. Errors name the path.
Image ReadPicture(const std::string& path);

// Unit rows [M, E] of texts. Throws Error(kInvalidArgument) for a text without a word, which would
// be scored as the end of nothing, and as ClipModel::TokenizeTexts does.
Array<float, 2> EmbedWords(const ClipModel& model, const std::vector<std::string>& texts,
                           int threads);

}  // namespace cliplens::cli
