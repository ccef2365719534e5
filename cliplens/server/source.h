// One model or store that the explorer shows, with its caches.
//
//   Source source("s0", std::move(options), shared);
//   source.model();              // loaded at its first use
//   source.texts();              // embedded by a background job; throws NotReady until then
//
// All functions may be called by several threads at once.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/live_edit.h"
#include "cliplens/analysis/search.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/models.h"
#include "cliplens/app/neurons.h"
#include "cliplens/app/texts.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/neurons/neuron_store.h"
#include "cliplens/server/arguments.h"
#include "cliplens/server/jobs.h"
#include "cliplens/server/labels.h"
#include "cliplens/server/pictures.h"

namespace cliplens::server {

// Thrown while a result is being computed; `job` reports the progress.
struct NotReady {
  std::string what;
  std::string job;
};

struct SourceOptions {
  std::string name;                                      // as people call it
  std::optional<Store> store;                            // nothing: a model alone
  LazyModel model;                                       // of the store, or alone
  std::unique_ptr<ImageSet> pictures;                    // of the store; null where they are gone
  std::shared_ptr<const NeuronStore> neurons = {};       // of the model's image tower, or null
  std::shared_ptr<const ImageSet> neuron_pictures = {};  // of `neurons`; null where they are gone
  std::optional<TextPool> pool;                          // that heads are described with
  std::optional<TextPool> properties;                    // that heads are labelled with
  std::optional<LoadedLabels> labels;                    // made before
  std::optional<ClassTexts> classes;
  std::string label;  // attribute that holds the label; empty: the label
};

// What sources have in common.
struct Shared {
  int threads = 0;
  Index picture_pixels = 50'000'000;  // of a picture that is sent
  bool exif_orientation = false;      // pictures that are sent are turned upright
  BoundedCache<SentPicture> sent{Index{64} << 20};
  BoundedCache<PictureFile> small{Index{32} << 20};
  Jobs jobs;  // last, so that it ends before the caches

  // Throws Error(kNotFound) for a picture that is not kept.
  std::shared_ptr<const SentPicture> Sent(const std::string& id);
};

// A picture that an analysis looks at.
struct ShownPicture {
  std::string path;  // in a set, or what was sent
  Image image;
  std::string key;  // the same for the same picture of the same source
};

// A value that is made by the first call that succeeds, while other threads wait.
template <typename T>
class Lazy {
 public:
  template <typename Make>
  const T& Get(const Make& make) {
    const std::scoped_lock lock(mutex_);
    if (!value_) value_.emplace(make());
    return *value_;
  }

 private:
  std::mutex mutex_;
  std::optional<T> value_;
};

class Source {
 public:
  Source(std::string id, SourceOptions options, Shared& shared);

  // A description, with labels and jobs as they are now.
  SourceReport Describe();

  const std::string& id() const { return report_.id; }
  const SourceOptions& options() const { return options_; }
  Shared& shared() const { return shared_; }
  int threads() const { return shared_.threads; }

  bool is_store() const { return options_.store.has_value(); }
  // Throws Error(kPrecondition) for a model alone.
  const Store& store() const;
  // Throws as LazyModel::Get.
  const ClipModel& model() { return options_.model.Get(); }

  const ModelHeads& model_heads() const { return model_heads_; }
  int layers() const { return model_heads_.layers; }
  int heads() const { return model_heads_.heads; }
  const std::string& fingerprint() const { return model_heads_.fingerprint; }
  const std::string& model_name() const { return report_.model_name; }
  Index embed_width() const { return report_.embed_width; }

  // Starts the job that embeds the pool's texts and the classes and reads the shards once, if there
  // is anything to do.
  void Prepare();
  // The pool's unit rows [M, E]. Throws NotReady, or the Error that the job ended with, or
  // Error(kPrecondition) without a pool.
  const Array<float, 2>& texts();
  // The classes. Throws as texts().
  const Classifier& classifier();

  // The neurons' store. Throws Error(kPrecondition) where none was opened.
  const NeuronStore& neurons() const;
  // The pool that neurons are described with. Throws as texts().
  const NeuronPool& neuron_pool();
  // What neurons of a layer write; the last layers are kept. Throws as NeuronPaths.
  std::shared_ptr<const NeuronPaths> Paths(Index layer);

  // The unit row [E] of a text; the last ones are kept. Throws as EmbedWords.
  std::vector<float> RowOfText(const std::string& text, bool truncate);

  // Labels of the heads, or null.
  std::shared_ptr<const LoadedLabels> labels() const;
  // Starts to label, unless a job does already. Returns the job's name.
  std::string StartLabels();

  const std::vector<ComponentShare>& shares();
  const ContributionMeans& means();
  // Classes of the store's pictures, and their values of an attribute of at most 32. Throw as
  // MatchLabels and GroupByAttribute.
  const MatchedLabels& matched_labels();
  std::shared_ptr<const AttributeGroups> groups(const std::string& attribute);
  // Attributes that the first pictures have, with few values.
  const std::vector<std::string>& attributes();

  // What edits do to all pictures of the store, for one request at a time.
  struct Live {
    Live(LiveEdit live, std::vector<Index> picture_blocks)
        : edit(std::move(live)), blocks(std::move(picture_blocks)) {}
    std::mutex mutex;
    LiveEdit edit;
    std::vector<Index> blocks;  // of each picture in Bootstrap
  };
  // Throws Error(kExhausted) where pictures times classes exceed what is kept at once; with `rows`
  // also where the pictures' edited rows do.
  Live& live(bool rows);
  // Caches of what no edit changes: the pictures that a query finds, and accuracy by attribute.
  BoundedCache<RankedItems>& rankings() { return rankings_; }
  BoundedCache<GroupRow>& base_rows() { return base_rows_; }

  // Throws Error(kNotFound) for a number that the store lacks.
  Item item(Index number);
  // The items of a shard.
  std::shared_ptr<const std::vector<Item>> ItemsOfShard(Index shard);
  // Whether the store's pictures were turned upright by their EXIF orientation.
  bool TurnsUpright() const;
  // The bytes of a picture of the store. Throws Error(kNotFound) where they are gone.
  std::vector<std::uint8_t> PictureBytes(Index number);

  // A picture of the store of neurons, which may be of other pictures. Throw as item() and
  // PictureBytes().
  Item neuron_item(Index number);
  const std::vector<Item>& neuron_items();
  std::vector<std::uint8_t> NeuronPictureBytes(Index number);
  bool NeuronPicturesUpright() const;

  // The picture that {"item": n}, {"neuron_picture": n} or {"picture": id} names.
  Image Decode(std::span<const std::uint8_t> bytes, const std::string& path, bool upright);
  ShownPicture Picture(const Arguments& picture);
  // Its forward pass; the last ones are kept. With a layer also what CapturesThrough(layer) keeps.
  std::shared_ptr<const TokenPass> Pass(const ShownPicture& picture,
                                        std::optional<Index> through = {});
  // The heads of {"heads": ...}, {"property": ...} (those labelled with it), and all for
  // {"embedding": true} or nothing; `text` as people read it.
  struct Place {
    bool embedding = false;
    std::vector<HeadId> heads;
    std::string text;
  };
  // Where pictures are compared; a property stands for all heads of which it explains something, by
  // their shares. Sets `text` to the place as people read it.
  SearchSpace SpaceOf(const Arguments& request, const char* key, std::string* text);
  Place PlaceOf(const Arguments& request, const char* key);
  // Vectors of a space of the store; the last ones are kept.
  std::shared_ptr<const SearchVectors> Vectors(const SearchSpace& space);

 private:
  // The job's name while it runs, else empty. Called with the lock.
  std::string Running(const std::string& job) const;
  std::shared_ptr<const LoadedLabels> NeedLabels();
  void PrepareNow(const ProgressSink& progress);
  void CheckPrepared(const char* what);
  Index PlaceInSet(Index number, const std::string& path);

  SourceReport report_;  // but for labels and jobs
  SourceOptions options_;
  Shared& shared_;
  ModelHeads model_heads_;

  Lazy<std::vector<ComponentShare>> shares_;
  Lazy<std::unique_ptr<ContributionMeans>> means_;
  Lazy<MatchedLabels> matched_labels_;
  Lazy<std::vector<std::string>> attributes_;
  Lazy<std::vector<Index>> places_in_set_;
  Lazy<NeuronPool> neuron_pool_;
  Lazy<std::vector<Item>> neuron_items_;
  Lazy<std::unordered_map<std::string, Index>> places_of_neurons_;
  Lazy<std::unique_ptr<Live>> live_;
  BoundedCache<RankedItems> rankings_{Index{6} << 20};
  BoundedCache<GroupRow> base_rows_{Index{2} << 20};
  BoundedCache<std::vector<float>> rows_of_text_{Index{4} << 20};
  BoundedCache<AttributeGroups> groups_{Index{16} << 20};
  BoundedCache<std::vector<Item>> items_{Index{16} << 20};
  BoundedCache<TokenPass> passes_{Index{96} << 20};
  BoundedCache<NeuronPaths> paths_{Index{384} << 20};
  BoundedCache<SearchVectors> vectors_{Index{32} << 20};

  mutable std::mutex mutex_;
  std::string prepare_job_, label_job_;
  std::optional<Array<float, 2>> texts_;
  std::optional<Classifier> classifier_;
  std::shared_ptr<const LoadedLabels> labels_;
};

}  // namespace cliplens::server
