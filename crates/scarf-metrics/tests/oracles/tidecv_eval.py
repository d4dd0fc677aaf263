"""The kinds of error that tidecv counts, and what each costs: `tidecv_eval.py GT DT` (pip install tidecv==1.0.1).

Prints the AP at IoU .5, then for each kind, in the paper's order, how many there are and the AP that mending
them gains, all in 0..1.
"""

import json
import sys

from tidecv import TIDE, Data

gt_path, dt_path = sys.argv[1:]
with open(gt_path) as file:
    gt = json.load(file)
with open(dt_path) as file:
    dt = json.load(file)
truths, found = Data("truths"), Data("found")
for category in gt["categories"]:
    truths.add_class(category["id"], category["name"])
    found.add_class(category["id"], category["name"])
# Without this, detections on images without objects would not count.
for image in gt["images"]:
    truths.add_image(image["id"], str(image["id"]))
for a in gt["annotations"]:
    add = truths.add_ignore_region if a.get("iscrowd") else truths.add_ground_truth
    add(a["image_id"], a["category_id"], a["bbox"])
for d in dt:
    found.add_detection(d["image_id"], d["category_id"], d["score"], d["bbox"])
tide = TIDE()
run = tide.evaluate(truths, found, mode=TIDE.BOX)
counts = {kind.short_name: len(errors) for kind, errors in run.error_dict.items()}
gains = tide.get_all_errors()["main"]["found"]
rows = [run.ap / 100]
for kind in ["Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"]:
    rows += [counts[kind], gains[kind] / 100]
print(rows)
