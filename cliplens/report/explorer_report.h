// Answers of the explorer that no verb gives, as JSON (cliplens/server/openapi.json).
//
//   const std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
//   Print(DumpJson(OverviewJson(store.info(), shares, /*labels=*/nullptr)));
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/groups.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/app/neuron_lists.h"
#include "cliplens/app/report_content.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens {

// A model or store that is shown.
struct SourceReport {
  std::string id;
  std::string name;  // as people call it
  std::string model_name;
  std::string fingerprint;
  std::optional<StoreInfo> store;  // nothing: a model alone
  int layers = 0, heads = 0;
  Index image_size = 0, patch_size = 0, embed_width = 0;
  bool pictures = false;                // they can be shown
  std::optional<StoreInfo> neurons;     // of the model's image tower
  bool neuron_pictures = false;         // those of `neurons` can be shown
  bool labelled = false;                // the heads have labels
  std::vector<std::string> properties;  // of the labels
  std::string label_job, preparing;     // jobs that run; empty: none
  std::string pool, properties_name;    // empty: none
  std::string classes_name;             // empty: no classes
  std::vector<std::string> classes;
  std::string label;  // attribute that holds the label
  std::vector<std::string> attributes;
};
// The bounds of requests.
struct RequestLimits {
  Index picture_bytes = 0, picture_pixels = 0, text_bytes = 0;
  Index texts = 0, terms = 0, results = 0;
};
// "cliplens.sources/1".
Json SourcesJson(const std::vector<SourceReport>& sources, const RequestLimits& limits);

Json ServeJson(const std::string& address, int port);  // "cliplens.serve/1"
// "cliplens.picture/1" of a picture that was sent.
Json SentPictureJson(const std::string& id, Index width, Index height);

// Work in the background.
enum class JobState { kRunning, kDone, kFailed, kCancelled };
const char* NameOf(JobState state);  // "running", "done", "failed", "cancelled"
struct JobStatus {
  std::string id;
  std::string what;
  JobState state = JobState::kRunning;
  Index done = 0, total = 0;
  std::string error_code, error_message;  // of one that failed
  Index version = 0;                      // grows with every change
};
Json JobJson(const JobStatus& status);  // "cliplens.job/1"

// The path of a picture by its number in the store.
using PathOfItem = std::function<std::string(Index item)>;

// "cliplens.overview/1". `labels` as LabelOverviewJson gives them, or null.
Json OverviewJson(const StoreInfo& store, const std::vector<ComponentShare>& shares,
                  const Json& labels);

// "cliplens.head/2". `shares` are those of all components, `label` is the head's entry of
// "cliplens.label/3", or null.
Json HeadJson(const StoreInfo& store, const TextPool& pool, const ReportHead& head,
              const std::vector<ComponentShare>& shares, const PathOfItem& path_of,
              const Json& label);

// "cliplens.neurons.list/1".
Json NeuronListJson(const NeuronList& list);
// "cliplens.neurons.fires/1": where neurons fire in one picture.
Json FiringsJson(const MappedPicture& picture, const std::vector<NeuronFiring>& firings);

struct ItemList {
  struct Entry {
    Index number = 0;
    Item item;
  };
  Index total = 0;  // items that match
  Index from = 0;   // the place of the first entry among them
  std::vector<Entry> entries;
};
Json ItemListJson(const ItemList& list);  // "cliplens.items/1"

// A picture's scores with texts, best first.
struct ScoresReport {
  struct Score {
    std::string text;
    double score = 0;  // cosine
    double probability = 0;
    std::optional<double> edited = {};  // the cosine after an edit
  };
  std::string model_name;
  std::string fingerprint;
  std::string picture;
  std::vector<Score> scores;
};
Json ScoresJson(const ScoresReport& report);  // "cliplens.scores/1"

// Components that are replaced by their means, or all scaled by one number.
struct WantedEdit {
  std::vector<ComponentId> targets;
  bool mean = true;
  double scale = 0;
};

// Pictures that a query finds, best first.
struct RankedItems {
  std::vector<ScoredItem> found;
  std::vector<Item> items;  // of `found`
};

// What an edit does to the pictures of a store.
struct EditedReport {
  StoreInfo store;
  WantedEdit edit;
  struct Accuracy {
    Index images = 0;
    Estimate base, edited;
  };
  std::optional<Accuracy> accuracy;
  std::string accuracy_problem;  // why there is none where there are classes
  struct Groups {
    std::string attribute;
    std::vector<std::string> classes, values;
    GroupRow base, edited;
  };
  std::optional<Groups> groups;
  struct Ranking {
    RankedItems base, edited;
  };
  std::optional<Ranking> ranking;
  std::optional<ScoresReport> scores;  // of one picture, before and after
  double milliseconds = 0;
};
Json EditedJson(const EditedReport& report);  // "cliplens.explorer.edit/2"

// "cliplens.edit.show/1" of an edit that was opened, and how the page shows it. `other_means`: its
// means are those of other pictures.
Json OpenedEditJson(const Edit& edit, const WantedEdit& shown, bool other_means);

}  // namespace cliplens
