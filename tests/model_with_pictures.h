// What tests of a whole model begin with: the model, pictures, and a store of them.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/decompose/decompose.h"
#include "cliplens/model/clip.h"

namespace cliplens {

class ModelWithPictures : public testing::Test {
 protected:
  // `write` puts the model's files into a directory.
  ModelWithPictures(const std::function<void(const std::filesystem::path&)>& write,
                    Index pictures) {
    write(path("model"));
    WriteRandomPictures(path("pictures"), pictures, 20);
    model_.emplace(ClipModel::Load(path("model")));
    set_ = OpenImageSet(path("pictures"));
  }

  std::filesystem::path path(const char* name) const { return directory_.path() / name; }

  DecomposeResult MakeStore(const char* name, bool stats_only = false) {
    DecomposeOptions options;
    options.out = path(name);
    options.stats_only = stats_only;
    options.slices = 3;
    options.shard_images = 4;
    options.threads = 2;
    return Decompose(*model_, *set_, options);
  }

  struct Pass {
    Array<float, 2> embedding;
    Captures captures;
  };
  Pass PassOfPicture(Index i, const CaptureRequest& request) {
    Pass pass{.embedding = Array<float, 2>({1, model_->config().embed_width}), .captures = {}};
    Workspace workspace(2);
    const Array<float, 3> pixels =
        Preprocess(DecodePicture(*set_, i, set_->path(i)), model_->config().preprocess);
    model_->EmbedImages({&pixels, 1}, pass.embedding, workspace, request, {&pass.captures, 1});
    return pass;
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::unique_ptr<ImageSet> set_;
};

}  // namespace cliplens
