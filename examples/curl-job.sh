image=$(curl -sF image=@examples/sample.jpg http://127.0.0.1:8080/upload | grep -o '[0-9a-f]\{64\}' | head -n 1)
task=$(curl -sF image=$image -F width=400 http://127.0.0.1:8080/resize | grep -o '"task_id":"[^"]*' | cut -d'"' -f4)
until curl -s http://127.0.0.1:8080/jobs/$task | grep -oE 'JOB_STATE_(SUCCEEDED|FAILED)'; do sleep 0.2; done
result=$(curl -s http://127.0.0.1:8080/jobs/$task | grep -o '"url":"[^"]*' | cut -d'"' -f4)
curl -s -o small.jpg http://127.0.0.1:8080$result && ls -l small.jpg
