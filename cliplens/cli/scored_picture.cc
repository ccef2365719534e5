#include "cliplens/cli/scored_picture.h"

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens::cli {

Image ReadPicture(const std::string& path) {
  return DecodeImage(ReadFile(path, Index{1} << 30, FileKind::kRegularOrPipe), path);
}

Array<float, 2> EmbedWords(const ClipModel& model, const std::vector<std::string>& texts,
                           int threads) {
  const std::vector<Tokens> tokens = model.TokenizeTexts(texts, /*truncate=*/false, threads);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].count > 2) continue;  // more than a start and an end
    throw Error(ErrorCode::kInvalidArgument, "text '{}' has no word in it; write one",
                Printable(texts[i]));
  }
  return model.EmbedTexts(texts, /*truncate=*/false, threads);
}

}  // namespace cliplens::cli
