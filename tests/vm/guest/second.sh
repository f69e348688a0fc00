# The second boot, on the disk that the first one left without a word.

test_what_ran_is_dead() {
  same dead "$(field '{{.status}}' kept)"
  same "exited 4" "$(field '{{.status}} {{.exit.code}}' ended)"
  has "$(sampan ps -a)" kept ended
  same 137 "$(sampan wait kept)"
  same dead "$(alice sampan inspect --format '{{.status}}' hers)"
  same "" "$(sampan ps -q)"
}

test_it_starts_again() {
  sampan start kept
  same running "$(field '{{.status}}' kept)"
  same 67108864 "$(cat "$groups/sampan/$(field '{{.id}}' kept)/memory.max")"
  alice sampan start hers
  same running "$(alice sampan inspect --format '{{.status}}' hers)"
}

test_it_is_removed_and_nothing_is_left() {
  sampan rm -f kept ended
  sampan rm -f fresh || true
  alice sampan rm -f hers
  same "" "$(sampan ps -aq)$(alice sampan ps -aq)"
  same "" "$(left $groups)$(left $delegated)"
  store=/var/lib/sampan
  same "" "$(ls -A $store/containers $store/names $store/tmp $store/volumes | grep -v :)"
}

test_images_are_whole_after_the_power_failed() {
  same hello "$(sampan run --rm --pull never $image echo hello)"
  same hello "$(alice sampan run --rm --pull never $image echo hello)"
}
