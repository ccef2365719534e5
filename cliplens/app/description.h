// Pictures in a few words: the texts whose non-negative sum gives their embedding, or what some
// components contribute to it.
//
//   DescriptionChoice choice;
//   choice.pictures.images.images = "duck.png";
//   choice.texts = "phrases.txt";
//   const Description found = Describe(model, choice, {.threads = 4});
//   Print(found.words.cosine, found.words.words.size());
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/sparse_words.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/work.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/model/clip.h"

namespace cliplens {

// Pictures, or a store of them; their mean is described.
struct PictureSetChoice {
  ImagesChoice images = {};
  std::string store = {};          // instead of `images`
  std::string only = {};           // ATTRIBUTE=VALUE, as PicturesWith takes it; empty: all
  std::optional<Index> item = {};  // of a store: this picture alone
};

struct DescriptionChoice {
  PictureSetChoice pictures;
  // What is taken off: the mean of pictures, or of a store; and those of one side with this value.
  std::string minus = {};       // empty with `minus_only`: the pictures of the first side
  std::string minus_only = {};  // ATTRIBUTE=VALUE
  // A store whose pictures' mean is subtracted; it may hold statistics only. Empty: the store of
  // the pictures where a part of it is described, else none.
  std::string means = {};
  std::string components = {};    // as ParseComponents takes it; empty: the whole embedding
  std::string texts = "general";  // a pool, as TextsPath takes it
  Index count = 10;               // most texts
  bool truncate = false;          // texts longer than the context are cut
  OnError on_error = OnError::kStop;
};

// Some pictures, and the mean of what is described over them.
struct DescribedPictures {
  std::string place;  // as it was given
  std::string only;
  std::optional<Index> item;
  Index images = 0;  // of the mean
  Vector mean;       // [E]
  // Of pictures that were read now.
  std::vector<SkippedPicture> skipped = {}, incomplete = {};
  LeftOut left_out = {};
  Index set_size = 0, oriented = 0;
};

struct Description {
  // How the mean of pictures was taken off, which lies elsewhere than the mean of texts.
  enum class Centring {
    kMeans,       // subtracted: the mean of a store
    kDifference,  // it cancels in the difference of two sides
    kNone,        // not at all; the direction of the texts' mean is fitted at no cost
  };
  std::string model_name, fingerprint;
  TextPool pool;
  std::vector<ComponentId> components;  // empty: the whole embedding
  DescribedPictures pictures;
  std::optional<DescribedPictures> minus;
  Centring centring = Centring::kNone;
  std::string means;  // the store
  Index means_images = 0;
  double length = 0;  // of what is described, before it is made unit
  SparseWords words;
};
const char* NameOf(Description::Centring centring);  // "means", "difference", "none"

// The stages are "texts" and "pictures". Stores must be of the model. Throws as OpenImages,
// PicturesWith, EmbedReadableImages, Store::Open, ParseComponents, RowsOfPool, AtomsOf and
// LassoWords; Error(kInvalidArgument) for a store of another model or for `item` without a store,
// Error(kNotFound) for an item that is not there, Error(kPrecondition) where nothing is left to
// describe.
Description Describe(const ClipModel& model, const DescriptionChoice& choice, const Work& work);

}  // namespace cliplens
