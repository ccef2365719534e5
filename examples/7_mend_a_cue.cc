// Whether a classifier leans on a cue that two texts name, and an edit of the heads that carry it.
//
//   example_7_mend_a_cue MODEL STORE CLASSES TEXT TEXT EDIT
#include <fmt/format.h>

#include "cliplens/analysis/cue.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/edit_file.h"

int main(int argc, char** argv) {
  using namespace cliplens;
  if (argc != 7) return 2;
  try {
    const ClipModel model = ClipModel::Load(argv[1]);
    const Store store = Store::Open(argv[2]);
    const std::vector<std::string> cue = {argv[4], argv[5]};
    const std::vector<Index> groups = {0, 1};
    const Grouping answers =
        AnswersTo(store, model.EmbedTexts(cue, false, /*threads=*/0), groups, 2);
    const Array<float, 2> classifier =
        MakeClassifier(model, ReadClassFile(argv[3]).names, ReadTemplates("simple"), false, 0);
    const CueResult result = FindCue(store, classifier, answers, {}, {});
    fmt::print("the cue explains {:.0f} % of the class logits\n", 100 * result.lean.value);
    const std::vector<HeadId> heads = result.chosen_heads();
    if (heads.empty()) return 0;
    Edit edit = MakeMeanEdit(store.info(), store.basis(), store.statistics(), ComponentsOf(heads));
    edit.means = argv[2];
    WriteEdit(argv[6], edit);
    fmt::print("without {} it explains {:.0f} %\n", edit.Names(), 100 * result.lean_edited.value);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
