from fedswarm.launch.environment import service_environment


def test_services_get_one_thread_and_a_malloc_that_keeps_large_blocks():
    variables = service_environment({"HOME": "/home/me"})
    assert variables["HOME"] == "/home/me"
    assert variables["OMP_NUM_THREADS"] == "1"
    assert int(variables["MALLOC_MMAP_THRESHOLD_"]) >= 1 << 30


def test_what_the_user_has_set_is_left_alone():
    assert service_environment({"OMP_NUM_THREADS": "4"})["OMP_NUM_THREADS"] == "4"
